#!/usr/bin/python3
"""The rate of a large dense product in PyTorch, as one line of JSON: what model FLOP utilisation is a share of.

    pytorch_gemm.py --device cuda --precision bfloat16
"""

import argparse
import json
import time

import torch


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    order, repetitions = (8192, 20) if options.device == "cuda" else (1024, 5)
    a, b = (torch.randn(order, order, device=options.device, dtype=getattr(torch, options.precision)) for _ in range(2))

    def seconds(count):
        begin = time.perf_counter()
        for _ in range(count):
            a @ b
        if options.device == "cuda":
            torch.cuda.synchronize()
        return (time.perf_counter() - begin) / count

    seconds(repetitions)
    best = min(seconds(repetitions) for _ in range(3))
    name = torch.cuda.get_device_name() if options.device == "cuda" else ""
    print(json.dumps({"flops_per_second": 2 * order**3 / best, "order": order, "device": name}))


if __name__ == "__main__":
    main()
