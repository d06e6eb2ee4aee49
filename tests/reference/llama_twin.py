#!/usr/bin/python3
"""The same LLaMA in PyTorch, float64: writes the golden files that the C++ tests compare with.

    /usr/bin/python3 tests/reference/llama_twin.py [FOLDER]

Debian's python3-torch and python3-h5py are enough. The files are committed; run it again only to change the
cases. Each file holds the configuration (attributes), the tokens, the weights, logits, mean loss and gradients
of one batch, and where five steps of torch.optim.AdamW on that batch lead.
"""

import pathlib
import sys

import h5py
import torch
from torch import nn
from torch.nn import functional

CASES = {
    "mha_untied": dict(layers=2, hidden=16, heads=4, kv_heads=4, ffn_hidden=20, vocab=23, context=9,
                       rope_theta=1e4, norm_epsilon=1e-5, tie_embeddings=False, sequences=3),
    "gqa_tied": dict(layers=2, hidden=24, heads=6, kv_heads=2, ffn_hidden=28, vocab=19, context=10,
                     rope_theta=500.0, norm_epsilon=1e-4, tie_embeddings=True, sequences=2),
}
ADAMW = dict(beta1=0.9, beta2=0.95, epsilon=1e-8, weight_decay=0.1, clip=0.8)
LEARNING_RATES = [1e-3, 2e-3, 3e-3, 2.5e-3, 2e-3]


class RMSNorm(nn.Module):
    def __init__(self, hidden, epsilon):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(hidden))
        self.epsilon = epsilon

    def forward(self, x):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.epsilon) * self.weight


def rotate_half(x):
    first, second = x.chunk(2, dim=-1)
    return torch.cat((-second, first), dim=-1)


class Attention(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.heads, self.kv_heads, self.theta = c["heads"], c["kv_heads"], c["rope_theta"]
        self.head_dim = c["hidden"] // c["heads"]
        self.q_proj = nn.Linear(c["hidden"], c["hidden"], bias=False)
        self.k_proj = nn.Linear(c["hidden"], self.kv_heads * self.head_dim, bias=False)
        self.v_proj = nn.Linear(c["hidden"], self.kv_heads * self.head_dim, bias=False)
        self.o_proj = nn.Linear(c["hidden"], c["hidden"], bias=False)

    def forward(self, x):
        batch, length, hidden = x.shape
        q = self.q_proj(x).view(batch, length, self.heads, self.head_dim).transpose(1, 2)
        k = self.k_proj(x).view(batch, length, self.kv_heads, self.head_dim).transpose(1, 2)
        v = self.v_proj(x).view(batch, length, self.kv_heads, self.head_dim).transpose(1, 2)
        frequencies = self.theta ** (-torch.arange(0, self.head_dim, 2) / self.head_dim)
        angles = torch.outer(torch.arange(length).to(frequencies), frequencies)
        angles = torch.cat((angles, angles), dim=-1)
        q = q * angles.cos() + rotate_half(q) * angles.sin()
        k = k * angles.cos() + rotate_half(k) * angles.sin()
        k = k.repeat_interleave(self.heads // self.kv_heads, dim=1)
        v = v.repeat_interleave(self.heads // self.kv_heads, dim=1)
        scores = q @ k.transpose(-1, -2) / self.head_dim ** 0.5
        future = torch.ones(length, length, dtype=torch.bool).triu(1)
        probabilities = scores.masked_fill(future, float("-inf")).softmax(-1)
        return self.o_proj((probabilities @ v).transpose(1, 2).reshape(batch, length, hidden))


class MLP(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.gate_proj = nn.Linear(c["hidden"], c["ffn_hidden"], bias=False)
        self.up_proj = nn.Linear(c["hidden"], c["ffn_hidden"], bias=False)
        self.down_proj = nn.Linear(c["ffn_hidden"], c["hidden"], bias=False)

    def forward(self, x):
        return self.down_proj(functional.silu(self.gate_proj(x)) * self.up_proj(x))


class Block(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.input_layernorm = RMSNorm(c["hidden"], c["norm_epsilon"])
        self.self_attn = Attention(c)
        self.post_attention_layernorm = RMSNorm(c["hidden"], c["norm_epsilon"])
        self.mlp = MLP(c)

    def forward(self, x):
        x = x + self.self_attn(self.input_layernorm(x))
        return x + self.mlp(self.post_attention_layernorm(x))


class Decoder(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.embed_tokens = nn.Embedding(c["vocab"], c["hidden"])
        self.layers = nn.ModuleList(Block(c) for _ in range(c["layers"]))
        self.norm = RMSNorm(c["hidden"], c["norm_epsilon"])


class Llama(nn.Module):
    """Parameter names are Hugging Face's."""

    def __init__(self, c):
        super().__init__()
        self.model = Decoder(c)
        if not c["tie_embeddings"]:
            self.lm_head = nn.Linear(c["hidden"], c["vocab"], bias=False)
        self.tied = c["tie_embeddings"]

    def forward(self, tokens):
        x = self.model.embed_tokens(tokens)
        for layer in self.model.layers:
            x = layer(x)
        return self.model.norm(x) @ (self.model.embed_tokens if self.tied else self.lm_head).weight.T


def write_tensors(group, tensors):
    for name, tensor in tensors:
        group[name] = tensor.detach().numpy()


def adamw_steps(model, tokens, targets, out):
    """Steps as strait takes them: no decay on gains and on the token table, clipping by the global norm."""
    named = list(model.named_parameters())
    decays = lambda name: "norm" not in name and "embed_tokens" not in name
    groups = [{"params": [p for n, p in named if decays(n)], "weight_decay": ADAMW["weight_decay"]},
              {"params": [p for n, p in named if not decays(n)], "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, betas=(ADAMW["beta1"], ADAMW["beta2"]), eps=ADAMW["epsilon"])
    losses, norms = [], []
    for rate in LEARNING_RATES:
        optimizer.zero_grad()
        loss = functional.cross_entropy(model(tokens).flatten(0, 1), targets.flatten())
        loss.backward()
        norm = torch.sqrt(sum(p.grad.pow(2).sum() for _, p in named))
        for _, p in named:
            p.grad *= min(1.0, ADAMW["clip"] / norm.item())
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.step()
        losses.append(loss.item())
        norms.append(norm.item())
    for key, value in ADAMW.items():
        out.attrs[key] = value
    out["learning_rates"] = torch.tensor(LEARNING_RATES).numpy()
    out["losses"] = torch.tensor(losses).numpy()
    out["gradient_norms"] = torch.tensor(norms).numpy()
    write_tensors(out.create_group("parameters"), named)


def write_case(path, c):
    torch.manual_seed(7)
    model = Llama(c)
    with torch.no_grad():
        for name, p in model.named_parameters():
            p.copy_(1.0 + 0.2 * torch.randn_like(p) if "norm" in name else 0.3 * torch.randn_like(p))
    text = torch.randint(0, c["vocab"], (c["sequences"], c["context"] + 1))
    tokens, targets = text[:, :-1], text[:, 1:]

    with h5py.File(path, "w", libver="latest") as out:
        for key, value in c.items():
            out.attrs[key] = int(value) if isinstance(value, (bool, int)) else value
        out["tokens"] = tokens.numpy().astype("int32")
        out["targets"] = targets.numpy().astype("int32")
        write_tensors(out.create_group("parameters"), model.named_parameters())
        logits = model(tokens)
        loss = functional.cross_entropy(logits.flatten(0, 1), targets.flatten())
        loss.backward()
        out["logits"] = logits.detach().flatten(0, 1).numpy()
        out["loss"] = torch.tensor([loss.item()]).numpy()
        write_tensors(out.create_group("gradients"), [(n, p.grad) for n, p in model.named_parameters()])
        adamw_steps(model, tokens, targets, out.create_group("adamw"))


def main():
    torch.set_default_dtype(torch.float64)
    folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent / "golden")
    folder.mkdir(parents=True, exist_ok=True)
    for name, case in CASES.items():
        write_case(folder / f"{name}.h5", case)
        print(folder / f"{name}.h5")


if __name__ == "__main__":
    main()
