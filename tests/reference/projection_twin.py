#!/usr/bin/python3
"""LLaMA in three stages with projected boundaries in PyTorch, float64, differentiated by autograd: writes the
golden files that tests/pipeline/projection_twin_test.cpp compares with.

    /usr/bin/python3 tests/reference/projection_twin.py [FOLDER]

At the boundary after stage p, with tokens t:
    Xhat = ((X - anchor_p[t]) A) A^T + anchor_{p+1}[t],   anchor_s = E_s P_s, a table E_s, or nothing.
A is not orthonormal here, so that the gradient has parts that would vanish otherwise. The files are laid out as
checkpoints are.
"""

import pathlib
import sys

import h5py
import torch
from torch.nn import functional

from llama_twin import Llama, write_tensors

MODEL = dict(layers=3, hidden=12, heads=2, kv_heads=2, ffn_hidden=14, vocab=13, context=7, rope_theta=1e4,
             norm_epsilon=1e-5, tie_embeddings=False)
SEQUENCES, RANK, STAGES = 2, 5, 3
CASES = ["factorized", "full", "none"]


def parameter(*shape, scale=0.3):
    return (scale * torch.randn(*shape)).requires_grad_()


def make_boundaries(anchors):
    hidden, vocab = MODEL["hidden"], MODEL["vocab"]
    projectors = [(torch.linalg.qr(torch.randn(hidden, RANK))[0] + 0.05 * torch.randn(hidden, RANK)).requires_grad_()
                  for _ in range(STAGES - 1)]
    tables = {"factorized": lambda: parameter(vocab, RANK), "full": lambda: parameter(vocab, hidden),
              "none": lambda: None}
    tables = [tables[anchors]() for _ in range(STAGES)]
    factors = [torch.linalg.qr(torch.randn(hidden, RANK))[0].T.contiguous() for _ in range(STAGES)]
    return projectors, tables, factors


def forward(model, tokens, anchors, projectors, tables, factors):
    def anchor(stage):
        if anchors == "none":
            return 0.0
        return tables[stage][tokens] @ factors[stage] if anchors == "factorized" else tables[stage][tokens]

    x = model.model.embed_tokens(tokens)
    for stage, layer in enumerate(model.model.layers):
        x = layer(x)
        if stage < STAGES - 1:
            a = projectors[stage]
            x = ((x - anchor(stage)) @ a) @ a.T + anchor(stage + 1)
    return model.lm_head(model.model.norm(x))


def write_boundaries(out, anchors, projectors, tables, factors):
    for p, a in enumerate(projectors):
        write_tensors(out.create_group(f"boundary/{p}"), [("A", a)])
    if anchors != "none":
        for s in range(STAGES):
            write_tensors(out.create_group(f"anchors/{s}"), [("E", tables[s]), ("P", factors[s])])


def write_case(path, anchors):
    torch.manual_seed(11)
    model = Llama(MODEL)
    with torch.no_grad():
        for name, p in model.named_parameters():
            p.copy_(1.0 + 0.2 * torch.randn_like(p) if "norm" in name else 0.3 * torch.randn_like(p))
    boundaries = make_boundaries(anchors)
    projectors, tables, factors = boundaries
    text = torch.randint(0, MODEL["vocab"], (SEQUENCES, MODEL["context"] + 1))
    tokens, targets = text[:, :-1], text[:, 1:]
    loss = functional.cross_entropy(forward(model, tokens, anchors, *boundaries).flatten(0, 1), targets.flatten())
    loss.backward()

    with h5py.File(path, "w", libver="latest") as out:
        for key, value in {**MODEL, "sequences": SEQUENCES, "rank": RANK}.items():
            out.attrs[key] = int(value) if isinstance(value, (bool, int)) else value
        out["tokens"] = tokens.flatten().numpy().astype("int32")
        out["targets"] = targets.flatten().numpy().astype("int32")
        out["loss"] = torch.tensor([loss.item()]).numpy()
        write_tensors(out.create_group("parameters"), model.named_parameters())
        write_boundaries(out, anchors, projectors, tables, factors)
        gradients = out.create_group("gradients")
        write_tensors(gradients.create_group("parameters"), [(n, p.grad) for n, p in model.named_parameters()])
        write_boundaries(gradients, anchors, [a.grad for a in projectors],
                         [t if t is None else t.grad for t in tables], factors)


def main():
    torch.set_default_dtype(torch.float64)
    folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent / "golden")
    folder.mkdir(parents=True, exist_ok=True)
    for anchors in CASES:
        path = folder / f"projection_{anchors}.h5"
        write_case(path, anchors)
        print(path)


if __name__ == "__main__":
    main()
