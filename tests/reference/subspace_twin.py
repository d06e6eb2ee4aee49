#!/usr/bin/python3
"""LLaMA held in a subspace (ssn) in PyTorch, float64, differentiated by autograd: writes the golden file that
tests/pipeline/subspace_twin_test.cpp compares with.

    /usr/bin/python3 tests/reference/subspace_twin.py [FOLDER]

At each boundary X' = ((X - F[t]) U) U^T + F[t]. At the stages before the last boundary every projection back onto the
residual stream is W = U U^T V with V the leaf, and the token table F + V U U^T, so that autograd gives the gradient
within the subspace. Ten steps of AdamW with clipping follow; the mean square of a confined parameter is averaged over
each vector that is confined.
"""

import pathlib
import sys

import h5py
import torch
from torch.nn import functional
from torch.nn.utils.stateless import functional_call

from llama_twin import Llama, write_tensors

MODEL = dict(layers=4, hidden=12, heads=2, kv_heads=1, ffn_hidden=14, vocab=13, context=7, rope_theta=1e4,
             norm_epsilon=1e-5, tie_embeddings=False)
SPLIT = [1, 2, 1]
SEQUENCES, RANK = 2, 5
ADAMW = dict(beta1=0.9, beta2=0.95, epsilon=1e-8, weight_decay=0.1, clip=0.8)
RATES = [1e-3, 4e-3, 3e-3, 6e-3, 5e-3, 4e-3, 3e-3, 2e-3, 1e-3, 5e-4]


def confined(name):
    """-1 where rows lie in the subspace, 0 where columns do, else None."""
    if name == "model.embed_tokens.weight":
        return -1
    free = [f"model.layers.{MODEL['layers'] - 1 - i}." for i in range(SPLIT[-1])]
    if any(name.startswith(prefix) for prefix in free):
        return None
    return 0 if "o_proj" in name or "down_proj" in name else None


class Boundaries(Llama):
    def __init__(self, c, basis, table):
        super().__init__(c)
        self.basis, self.table = basis, table

    def forward(self, tokens):
        x, layers = self.model.embed_tokens(tokens), iter(self.model.layers)
        for stage, count in enumerate(SPLIT):
            if stage > 0:
                x = ((x - self.table[tokens]) @ self.basis) @ self.basis.T + self.table[tokens]
            for _ in range(count):
                x = next(layers)(x)
        return self.lm_head(self.model.norm(x))


def effective(leaves, basis, table):
    projector = basis @ basis.T
    weights = {}
    for name, v in leaves.items():
        side = confined(name)
        weights[name] = v if side is None else projector @ v if side == 0 else table + v @ projector
    return weights


def adamw(leaves, gradients, state, rate, step):
    for name, v in leaves.items():
        g = gradients[name]
        m, s = state[name]
        m.mul_(ADAMW["beta1"]).add_(g, alpha=1 - ADAMW["beta1"])
        square = g.square()
        side = confined(name)
        if side is not None:
            square = square.mean(dim=side, keepdim=True).expand_as(g)
        s.mul_(ADAMW["beta2"]).add_(square, alpha=1 - ADAMW["beta2"])
        if "norm" not in name and "embed_tokens" not in name:
            v.mul_(1 - rate * ADAMW["weight_decay"])
        mean = m / (1 - ADAMW["beta1"] ** step)
        size = (s / (1 - ADAMW["beta2"] ** step)).sqrt() + ADAMW["epsilon"]
        v.sub_(rate * mean / size)


def main():
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(17)
    folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent / "golden")
    basis = torch.linalg.qr(torch.randn(MODEL["hidden"], RANK))[0]
    table = torch.randn(MODEL["vocab"], MODEL["hidden"])
    model = Boundaries(MODEL, basis, table)
    leaves = {name: 1.0 + 0.2 * torch.randn_like(p) if "norm" in name else 0.3 * torch.randn_like(p)
              for name, p in model.named_parameters()}
    text = torch.randint(0, MODEL["vocab"], (SEQUENCES, MODEL["context"] + 1))
    tokens, targets = text[:, :-1], text[:, 1:]

    def loss_and_gradients():
        inputs = {name: v.detach().requires_grad_() for name, v in leaves.items()}
        logits = functional_call(model, effective(inputs, basis, table), (tokens,))
        loss = functional.cross_entropy(logits.flatten(0, 1), targets.flatten())
        return loss.item(), dict(zip(inputs, torch.autograd.grad(loss, list(inputs.values()))))

    path = folder / "subspace.h5"
    with h5py.File(path, "w", libver="latest") as out:
        for key, value in {**MODEL, **ADAMW, "sequences": SEQUENCES, "rank": RANK}.items():
            out.attrs[key] = int(value) if isinstance(value, (bool, int)) else value
        out["tokens"], out["targets"] = (t.flatten().numpy().astype("int32") for t in (tokens, targets))
        out["split"], out["rates"] = torch.tensor(SPLIT, dtype=torch.int32).numpy(), torch.tensor(RATES).numpy()
        out["U"], out["F"] = basis.numpy(), table.numpy()
        write_tensors(out.create_group("parameters"), effective(leaves, basis, table).items())
        _, gradients = loss_and_gradients()
        write_tensors(out.create_group("gradients"), gradients.items())
        state = {name: (torch.zeros_like(v), torch.zeros_like(v)) for name, v in leaves.items()}
        losses, norms = [], []
        for step, rate in enumerate(RATES, start=1):
            loss, gradients = loss_and_gradients()
            norm = torch.sqrt(sum(g.square().sum() for g in gradients.values())).item()
            factor = min(1.0, ADAMW["clip"] / norm)
            adamw(leaves, {name: factor * g for name, g in gradients.items()}, state, rate, step)
            losses.append(loss)
            norms.append(norm)
        out["losses"], out["norms"] = torch.tensor(losses).numpy(), torch.tensor(norms).numpy()
        write_tensors(out.create_group("after"), effective(leaves, basis, table).items())
    print(path)


if __name__ == "__main__":
    main()
