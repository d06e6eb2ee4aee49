#!/usr/bin/python3
"""Basis rotation, SOAP and NAdam in PyTorch, float64: writes the golden files that the C++ tests compare with.

    /usr/bin/python3 tests/reference/rotation_twin.py [FOLDER]

Written from the formulas, as the authors' codes have them: SOAP rotates its running mean with every change of basis and
skips the first gradient. The files are committed.
"""

import math
import pathlib
import sys

import h5py
import torch

STEPS = 30
BETA1, BETA2, EPSILON, DECAY, REFRESH = 0.9, 0.95, 1e-8, 0.1, 4
RATES = [1e-2 * (1 + 0.5 * math.cos(step)) for step in range(STEPS)]
SHAPES = {"square": (7, 7), "wide": (5, 9), "tall": (8, 6)}


def orthonormal(order):
    return torch.linalg.qr(torch.randn(order, order))[0]


def carried(basis, matrix):
    """The basis' vectors by what they carry of the matrix, largest first."""
    return torch.argsort(torch.diag(basis.T @ matrix @ basis), descending=True)


def q_of(matrix):
    return torch.linalg.qr(matrix, mode="complete")[0]


class BasisRotation:
    """Section by section the step of the paper; `offset` is the matrix' number, for staggered refreshes."""

    def __init__(self, w, u, v, second, offset):
        self.m, self.s = torch.zeros_like(w), torch.zeros_like(w)
        self.u, self.v, self.second, self.offset, self.t = u, v, second, offset, 0
        self.l, self.r = torch.zeros(len(w), len(w)), torch.zeros(len(w.T), len(w.T))

    def refresh(self):
        u, v, m = self.u, self.v, self.m
        if u is not None:
            row_order = carried(u, self.l if self.second else m @ m.T)
            u, self.s = u[:, row_order], self.s[row_order]
        if v is not None:
            column_order = carried(v, self.r if self.second else m.T @ m)
            v, self.s = v[:, column_order], self.s[:, column_order]
        if self.second:
            self.u, self.v = (None if u is None else q_of(self.l @ u)), (None if v is None else q_of(self.r @ v))
        elif u is not None and v is not None:
            self.u, self.v = q_of(m @ v), q_of(m.T @ u)
        elif u is not None:
            self.u = q_of(m @ (m.T @ u))
        else:
            self.v = q_of(m.T @ (m @ v))

    def __call__(self, w, g, rate):
        self.t += 1
        self.l = BETA2 * self.l + (1 - BETA2) * g @ g.T
        self.r = BETA2 * self.r + (1 - BETA2) * g.T @ g
        self.m = BETA1 * self.m + (1 - BETA1) * g
        if (self.t + self.offset) % REFRESH == 0:
            self.refresh()
        u = torch.eye(len(w)) if self.u is None else self.u
        v = torch.eye(len(w.T)) if self.v is None else self.v
        self.s = BETA2 * self.s + (1 - BETA2) * (u.T @ g @ v) ** 2
        d = (u.T @ self.m @ v) / (self.s.sqrt() + EPSILON)
        w = w - rate * DECAY * w
        return w - rate * math.sqrt(1 - BETA2**self.t) / (1 - BETA1**self.t) * u @ d @ v.T


class Soap:
    """After github.com/nikhilvyas/SOAP, for one matrix."""

    def __init__(self, w):
        self.l, self.r = torch.zeros(len(w), len(w)), torch.zeros(len(w.T), len(w.T))
        self.m, self.s, self.u, self.t = torch.zeros_like(w), torch.zeros_like(w), None, 0

    def gather(self, g):
        self.l = torch.lerp(self.l, g @ g.T, 1 - BETA2)
        self.r = torch.lerp(self.r, g.T @ g, 1 - BETA2)

    def __call__(self, w, g, rate):
        if self.u is None:
            self.gather(g)
            self.u, self.v = (torch.linalg.eigh(square)[1].flip(1) for square in (self.l, self.r))
            return w
        self.t += 1
        projected = self.u.T @ g @ self.v
        self.m = BETA1 * self.m + (1 - BETA1) * projected
        self.s = BETA2 * self.s + (1 - BETA2) * projected**2
        size = rate * math.sqrt(1 - BETA2**self.t) / (1 - BETA1**self.t)
        w = w - size * self.u @ (self.m / (self.s.sqrt() + EPSILON)) @ self.v.T
        w = w - rate * DECAY * w
        mean = self.u @ self.m @ self.v.T
        self.gather(g)
        if self.t % REFRESH == 0:
            row_order, column_order = carried(self.u, self.l), carried(self.v, self.r)
            self.s = self.s[row_order][:, column_order]
            self.u, self.v = q_of(self.l @ self.u[:, row_order]), q_of(self.r @ self.v[:, column_order])
        self.m = self.u.T @ mean @ self.v
        return w


def nadam(w, gradients):
    """The formulas in the documentation of torch.optim.NAdam; its code of version 1.13 counts mu_t twice in the product up
    to t + 1. Decay is decoupled."""
    m, v, product = torch.zeros_like(w), torch.zeros_like(w), 1.0
    for t, (rate, g) in enumerate(zip(RATES, gradients), 1):
        mu, mu_next = (BETA1 * (1 - 0.5 * 0.96 ** (0.004 * step)) for step in (t, t + 1))
        product *= mu
        m = BETA1 * m + (1 - BETA1) * g
        v = BETA2 * v + (1 - BETA2) * g**2
        mean = mu_next * m / (1 - product * mu_next) + (1 - mu) * g / (1 - product)
        w = w * (1 - rate * DECAY) - rate * mean / ((v / (1 - BETA2**t)).sqrt() + EPSILON)
    return w


def train(optimizer, w, gradients):
    for rate, g in zip(RATES, gradients):
        w = optimizer(w, g, rate)
    return w


def write(path):
    with h5py.File(path, "w") as file:
        file.attrs.update(beta1=BETA1, beta2=BETA2, epsilon=EPSILON, weight_decay=DECAY, refresh=REFRESH)
        file["rates"] = torch.tensor(RATES)
        for offset, (name, (rows, columns)) in enumerate(SHAPES.items()):
            w, u, v = torch.randn(rows, columns), orthonormal(rows), orthonormal(columns)
            # A common part, so that means and their order have meaning.
            gradients = torch.randn(STEPS, rows, columns) + 2 * torch.randn(rows, columns)
            file[f"weights/{name}"], file[f"left/{name}"], file[f"right/{name}"] = w, u.T, v.T
            for step, g in enumerate(gradients):
                file[f"gradients/{step}/{name}"] = g
            for source in ("second", "first"):
                for two_sided in (True, False):
                    left, right = two_sided or rows < columns, two_sided or not rows < columns
                    rotation = BasisRotation(w, u if left else None, v if right else None, source == "second", offset)
                    file[f"{source}-{'two' if two_sided else 'one'}/{name}"] = train(rotation, w, gradients)
            if rows == columns:  # else the first gradient leaves vectors of a basis open
                file[f"soap/{name}"] = train(Soap(w), w, gradients)
            file[f"nadam/{name}"] = nadam(w, gradients)


if __name__ == "__main__":
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(6)
    write(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent / "golden") / "rotation.h5")
