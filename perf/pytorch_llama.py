#!/usr/bin/python3
"""The LLaMA of strait in PyTorch, written for speed: the opponent of compare_pytorch.py.

Same model, float32, or bfloat16 under autocast with float32 weights: RMSNorm, rotary embedding (half-split), grouped-query causal attention, SwiGLU, untied
head, token-mean cross-entropy, clipping by the global norm, AdamW; one GEMM for q, k, v and one for gate and
up, clipping and AdamW over lists of tensors (foreach, fused on CUDA). The operations have hand-written backward passes (for
CPUs), autograd's, or torch.compile and scaled_dot_product_attention (PyTorch 2).

Two ways to run it:
    one process          pytorch_llama.py --layers 8 ... --micro-batches 1
    two-stage 1F1B       the same with --rank 0|1 --master-port PORT in two processes (gloo)
Each step prints one line of JSON: step, seconds, processor_seconds (of all threads), loss (before the
update), norm (of the gradients before clipping).
"""

import argparse
import json
import os
import sys
import time

import numpy
import torch
import torch.distributed as distributed
import torch.nn.functional as functional
from pytorch_operations import OPERATIONS, HandWritten


class Block(torch.nn.Module):
    """One transformer layer; the residual stream is [tokens of the micro-batch, hidden]."""

    def __init__(self, shape, operations, deviation):
        super().__init__()
        self.shape, self.operations = shape, operations
        head = shape.hidden // shape.heads
        rows = (shape.heads + 2 * shape.kv_heads) * head
        output_deviation = deviation / (2 * shape.layers) ** 0.5
        self.attention_norm = torch.nn.Parameter(torch.ones(shape.hidden))
        self.qkv = torch.nn.Parameter(torch.randn(rows, shape.hidden) * deviation)
        self.output = torch.nn.Parameter(torch.randn(shape.hidden, shape.hidden) * output_deviation)
        self.ffn_norm = torch.nn.Parameter(torch.ones(shape.hidden))
        self.gate_up = torch.nn.Parameter(torch.randn(2 * shape.ffn, shape.hidden) * deviation)
        self.down = torch.nn.Parameter(torch.randn(shape.hidden, shape.ffn) * output_deviation)

    def forward(self, x, cosine, sine):
        shape, operations = self.shape, self.operations
        head = shape.hidden // shape.heads
        groups = shape.heads // shape.kv_heads
        normed = operations.rms_norm(x, self.attention_norm, shape.epsilon)
        projected = operations.linear(normed, self.qkv).view(-1, shape.context, shape.heads + 2 * shape.kv_heads, head)
        query, key, value = projected.transpose(1, 2).split((shape.heads, shape.kv_heads, shape.kv_heads), 1)
        query, key = operations.rotary(query, cosine, sine), operations.rotary(key, cosine, sine)
        if groups > 1:
            key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
        matrices = (tensor.reshape(-1, shape.context, head) for tensor in (query, key, value))
        mixed = operations.attention(*matrices, shape.query_block).view(-1, shape.heads, shape.context, head)
        x = x + operations.linear(mixed.transpose(1, 2).reshape(-1, shape.hidden), self.output)
        normed = operations.rms_norm(x, self.ffn_norm, shape.epsilon)
        return x + operations.linear(operations.swiglu(operations.linear(normed, self.gate_up)), self.down)


class Stage(torch.nn.Module):
    """Layers [first, last) with the embedding when first == 0 and the head and loss when last == layers."""

    def __init__(self, shape, operations, first, last, deviation=0.02):
        super().__init__()
        self.shape, self.operations = shape, operations
        self.blocks = torch.nn.ModuleList(Block(shape, operations, deviation) for _ in range(first, last))
        self.embedding = self.norm = self.head = None
        if first == 0:
            self.embedding = torch.nn.Parameter(torch.randn(shape.vocab, shape.hidden) * deviation)
        if last == shape.layers:
            self.norm = torch.nn.Parameter(torch.ones(shape.hidden))
            self.head = torch.nn.Parameter(torch.randn(shape.vocab, shape.hidden) * deviation)
        half = shape.hidden // shape.heads // 2
        frequencies = shape.rope_theta ** (-torch.arange(half, dtype=torch.float64) / half)
        angles = torch.outer(torch.arange(shape.context, dtype=torch.float64), frequencies)
        self.register_buffer("cosine", angles.cos().float(), persistent=False)
        self.register_buffer("sine", angles.sin().float(), persistent=False)
        for parameter in self.parameters():
            parameter.grad = torch.zeros_like(parameter)
            parameter.fresh = False

    def forward(self, x, targets=None):
        """x: token ids or the residual stream; returns the residual stream, or the mean loss on the last stage."""
        if self.embedding is not None:
            x = functional.embedding(x.flatten(), self.embedding)
        for block in self.blocks:
            x = block(x, self.cosine, self.sine)
        if self.head is None:
            return x
        normed = self.operations.rms_norm(x, self.norm, self.shape.epsilon)
        logits = self.operations.linear(normed, self.head)
        return functional.cross_entropy(logits, targets.flatten())

    def clear_gradients(self):
        """A fresh gradient is overwritten by the first micro-batch, the others start from zero."""
        for parameter in self.parameters():
            if self.operations is HandWritten and parameter.dim() == 2 and parameter is not self.embedding:
                parameter.fresh = True
            else:
                parameter.grad.zero_()


class Data:
    """Token file of nanoGPT (raw uint16), read in strait's `sequential` order."""

    def __init__(self, path, context, sequences, device):
        self.tokens = numpy.memmap(path, dtype=numpy.uint16, mode="r")
        self.context, self.sequences, self.device = context, sequences, device

    def batch(self, step):
        """Inputs and targets [sequences, context] of a step."""
        begin = (step * self.sequences + numpy.arange(self.sequences)) * self.context
        index = (begin[:, None] + numpy.arange(self.context + 1)) % len(self.tokens)
        block = torch.from_numpy(self.tokens[index].astype(numpy.int64)).to(self.device)
        return block[:, :-1], block[:, 1:]


def clip(parameters, limit, group=None):
    """Scales the gradients to a global norm of at most `limit`; returns the norm before."""
    gradients = [parameter.grad for parameter in parameters]
    norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
    if group is not None:
        square = norm.square().reshape(1)
        distributed.all_reduce(square)
        norm = square.sqrt()[0]
    if norm > limit:
        torch._foreach_mul_(gradients, (limit / (norm + 1e-6)).item())
    return norm.item()


def accumulate(stage, inputs, targets, micro_batches, precision):
    """Forward and backward of all micro-batches in one process; returns the mean loss."""
    total = torch.zeros((), device=inputs.device)
    for part, wanted in zip(inputs.chunk(micro_batches), targets.chunk(micro_batches)):
        with torch.autocast(inputs.device.type, torch.bfloat16, enabled=precision == "bfloat16"):
            loss = stage(part, wanted) / micro_batches
        loss.backward()
        total += loss.detach()
    return total.item()


def one_forward_one_backward(stage, rank, inputs, targets, micro_batches, shape):
    """Two-stage 1F1B over gloo: receives are posted before they are needed, sends are never waited for early.

    Stage 0: F0, then F1 B0 F2 B1 ...; stage 1: F0 B0 F1 B1 ...
    """
    peer = 1 - rank
    width = (inputs.shape[0] // micro_batches * shape.context, shape.hidden)
    parts = inputs.chunk(micro_batches) if rank == 0 else targets.chunk(micro_batches)
    buffers = [torch.empty(width) for _ in range(micro_batches)]
    arrivals = [distributed.irecv(buffers[m], peer, tag=m) for m in range(micro_batches)]
    sends, outputs, total = [], [None] * micro_batches, 0.0

    def send(tensor, m):
        sends.append((distributed.isend(tensor, peer, tag=m), tensor))

    def backward_of_first_stage(m):
        arrivals[m].wait()
        outputs[m].backward(buffers[m])
        outputs[m] = None

    if rank == 0:
        for m in range(micro_batches):
            outputs[m] = stage(parts[m])
            send(outputs[m].detach(), m)
            if m > 0:
                backward_of_first_stage(m - 1)
        backward_of_first_stage(micro_batches - 1)
    else:
        for m in range(micro_batches):
            arrivals[m].wait()
            received = buffers[m].requires_grad_()
            loss = stage(received, parts[m]) / micro_batches
            loss.backward()
            send(received.grad, m)
            total += loss.item()
    for handle, _ in sends:
        handle.wait()
    return total


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("layers", "hidden", "heads", "kv-heads", "ffn", "vocab", "context", "sequences", "steps"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--data", required=True, help="nanoGPT .bin")
    parser.add_argument("--micro-batches", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--operations", choices=OPERATIONS, default="hand-written")
    parser.add_argument("--query-block", type=int, default=64, help="of the hand-written attention")
    parser.add_argument("--first-stage-layers", type=int, help="default: half of the layers")
    parser.add_argument("--rank", type=int, choices=(0, 1), help="stage of the two-process pipeline")
    parser.add_argument("--master-port", type=int, default=29517)
    parser.add_argument("--learning-rate", type=float, default=1e-4)
    parser.add_argument("--epsilon", type=float, default=1e-5)
    parser.add_argument("--rope-theta", type=float, default=1e4)
    parser.add_argument("--profile", action="store_true", help="print PyTorch's table of the last step on stderr")
    return parser.parse_args()


def main():
    options = parse()
    torch.set_num_threads(options.threads)
    torch.set_flush_denormal(True)
    torch.manual_seed(1 + (options.rank or 0))
    pipelined = options.rank is not None
    if pipelined:
        os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(options.master_port), GLOO_SOCKET_IFNAME="lo")
        distributed.init_process_group("gloo", rank=options.rank, world_size=2)
    middle = options.first_stage_layers or options.layers // 2
    if options.device == "cuda" and (pipelined or options.operations == "hand-written"):
        sys.exit("pytorch_llama.py: the pipeline and the hand-written operations are for CPUs")
    first, last = {None: (0, options.layers), 0: (0, middle), 1: (middle, options.layers)}[options.rank]
    stage = Stage(options, OPERATIONS[options.operations], first, last).to(options.device)
    model = torch.compile(stage) if options.operations == "compiled" else stage
    parameters = list(stage.parameters())
    optimizer = torch.optim.AdamW(
        parameters,
        lr=options.learning_rate,
        betas=(0.9, 0.95),
        eps=1e-8,
        weight_decay=0.1,
        **({"fused": True} if options.device == "cuda" else {"foreach": True}),
    )
    data = Data(options.data, options.context, options.sequences, options.device)

    def step(index):
        inputs, targets = data.batch(index)
        stage.clear_gradients()
        if pipelined:
            loss = one_forward_one_backward(stage, options.rank, inputs, targets, options.micro_batches, options)
        else:
            loss = accumulate(model, inputs, targets, options.micro_batches, options.precision)
        norm = clip(parameters, 1.0, distributed.group.WORLD if pipelined else None)
        optimizer.step()
        if options.device == "cuda":
            torch.cuda.synchronize()
        return loss, norm

    for index in range(options.steps):
        if pipelined:
            distributed.barrier()
        begin, processor_begin = time.perf_counter(), time.process_time()
        if options.profile and index == options.steps - 1:
            with torch.profiler.profile() as profiler:
                loss, norm = step(index)
            print(profiler.key_averages().table(sort_by="self_cpu_time_total", row_limit=30), file=sys.stderr)
        else:
            loss, norm = step(index)
        seconds, processor = time.perf_counter() - begin, time.process_time() - processor_begin
        line = {"step": index, "seconds": seconds, "processor_seconds": processor, "loss": loss, "norm": norm}
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
