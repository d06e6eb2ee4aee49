#!/usr/bin/python3
"""The projector optimisers and Muon in PyTorch, float64: writes the golden files that the C++ tests compare with.

    /usr/bin/python3 tests/reference/optimizer_twin.py [FOLDER]

Written from the formulas, without the shortcuts of the C++ code: tangent projections before and after the average,
dual ascent from its full start, explicit transposes to the wide side. The files are committed.
"""

import pathlib
import sys

import h5py
import torch

POLAR_EXPRESS = [
    (8.28721201814563, -23.595886519098837, 17.300387312530933),
    (4.107059111542203, -2.9478499167379106, 0.5448431082926601),
    (3.9486908534822946, -2.908902115962949, 0.5518191394370137),
    (3.3184196573706015, -2.488488024314874, 0.51004894012372),
    (2.300652019954817, -1.6689039845747493, 0.4188073119525673),
    (1.891301407787398, -1.2679958271945868, 0.37680408948524835),
    (1.8750014808534479, -1.2500016453999487, 0.3750001645474248),
]
BETA = 0.95
DUAL_STEPS = 20
MUON = dict(momentum=0.95, matrix_fraction=1.0, vector_fraction=0.5, weight_decay=0.1, beta1=0.9, beta2=0.95,
            epsilon=1e-8)
RATES = [2e-2, 4e-2, 3e-2, 2.5e-2, 1e-2]
# In the order of the flat vector: name, role (as the C++ enumeration counts) and shape.
EMBEDDING, MATRIX, GAIN, HEAD, ANCHOR = range(5)
PARAMETERS = [
    ("model.embed_tokens.weight", EMBEDDING, (11, 12)),
    ("model.layers.0.input_layernorm.weight", GAIN, (12,)),
    ("model.layers.0.self_attn.q_proj.weight", MATRIX, (12, 12)),
    ("model.layers.0.self_attn.k_proj.weight", MATRIX, (6, 12)),
    ("model.layers.0.self_attn.o_proj.weight", MATRIX, (12, 12)),
    ("model.layers.0.mlp.gate_proj.weight", MATRIX, (20, 12)),
    ("model.layers.0.mlp.down_proj.weight", MATRIX, (12, 20)),
    ("lm_head.weight", HEAD, (11, 12)),
    ("anchors.0", ANCHOR, (11, 4)),
]


def msign(x, iterations=5):
    x = x / (1.01 * x.norm() + 1e-7)
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    for a, b, c in POLAR_EXPRESS[:iterations]:
        a, b, c = a / 1.01, b / 1.01**3, c / 1.01**5
        gram = x @ x.T
        x = a * x + b * (gram @ x) + c * (gram @ (gram @ x))
    return x.T if tall else x


def retract(a):
    gram = a.T @ a
    return (15 * a - 10 * (a @ gram) + 3 * (a @ gram @ gram)) / 8


def sym(m):
    return (m + m.T) / 2


def tangent(a, g):
    return g - a @ sym(a.T @ g)


class Spel:
    def __init__(self, shape):
        self.m = torch.zeros(shape)

    def average(self, a, g):
        self.m = tangent(a, BETA * self.m + (1 - BETA) * tangent(a, g))

    def __call__(self, a, g, rate):
        self.average(a, g)
        return retract(a - rate * msign(self.m))


class ManifoldMuon(Spel):
    def __call__(self, a, g, rate):
        self.average(a, g)
        g = self.m * (0.1 * a.shape[1] ** 0.5 / self.m.norm())
        dual = -(a.T @ g + g.T @ a) / 4
        for k in range(DUAL_STEPS):
            b = msign(g + 2 * a @ dual)
            dual = dual - 0.01 * (1 - k / DUAL_STEPS) * (a.T @ b + b.T @ a)
        return retract(a - rate * b)


class Unconstrained(Spel):
    def __call__(self, a, g, rate):
        self.m = BETA * self.m + g
        return a - rate * msign(g + BETA * self.m)


def write_projectors(path):
    """Momentum and projector after each of ten steps, gradients of mixed size and, but for manifold-muon, whose dual
    ascent amplifies rounding there, a weak direction."""
    hidden, rank, steps = 20, 6, 10
    start = torch.linalg.qr(torch.randn(hidden, rank))[0]
    gradients = torch.randn(steps, hidden, rank) * torch.logspace(-4, 0, steps)[:, None, None]
    rates = torch.linspace(2e-3, 2e-2, steps)
    with h5py.File(path, "w") as file:
        file["start"], file["rates"] = start, rates
        for name, rule in (("spel", Spel), ("manifold-muon", ManifoldMuon), ("unconstrained", Unconstrained)):
            own = gradients.clone()
            if rule is not ManifoldMuon:
                own[:, :, 0] *= 1e-3
            file[f"{name}/gradients"] = own
            a, optimizer, projectors = start, rule(start.shape), []
            for g, rate in zip(own, rates):
                a = optimizer(a, g, rate)
                projectors.append(a)
            file[f"{name}/projectors"] = torch.stack(projectors)
            file[f"{name}/momentum"] = optimizer.m


def write_muon(path):
    weights = {name: torch.randn(shape) / 2 for name, _, shape in PARAMETERS}
    gradients = [{name: torch.randn(shape) / 10 for name, _, shape in PARAMETERS} for _ in RATES]
    with h5py.File(path, "w") as file:
        file.attrs.update(MUON)
        file["rates"] = torch.tensor(RATES)
        for name, role, _ in PARAMETERS:
            file[f"weights/{name}"] = weights[name]
            file[f"weights/{name}"].attrs["role"] = role
            for step, values in enumerate(gradients):
                file[f"gradients/{step}/{name}"] = values[name]
        for nesterov in (True, False):
            group = file.create_group("nesterov" if nesterov else "plain")
            for name, role, _ in PARAMETERS:
                w, m = weights[name].clone(), torch.zeros_like(weights[name])
                decay = MUON["weight_decay"] if role in (MATRIX, HEAD) else 0.0
                if role != MATRIX:
                    w.requires_grad_(True)
                    adamw = torch.optim.AdamW([w], betas=(MUON["beta1"], MUON["beta2"]), eps=MUON["epsilon"],
                                              weight_decay=decay)
                for rate, values in zip(RATES, gradients):
                    g = values[name]
                    if role == MATRIX:
                        m = MUON["momentum"] * m + g
                        u = msign(g + MUON["momentum"] * m if nesterov else m)
                        w = w * (1 - rate * decay) - rate * max(1, w.shape[0] / w.shape[1]) ** 0.5 * u
                    else:
                        adamw.param_groups[0]["lr"] = MUON["vector_fraction"] * rate
                        w.grad = g
                        adamw.step()
                group[name] = w.detach()


if __name__ == "__main__":
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(20)
    folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent / "golden")
    write_projectors(folder / "projectors.h5")
    write_muon(folder / "muon.h5")
