"""The operations of the LLaMA in PyTorch: hand-written backward passes, and what autograd makes of them.

Autograd is how a model is normally written; `Fused` is the same with scaled_dot_product_attention, for torch.compile. By hand, less memory is stored and passed over: RMSNorm and SwiGLU
keep their inputs only, attention takes blocks of queries against the keys that each may see and so leaves most
of the upper triangle out, and the GEMM itself adds to the weight gradient.
"""

import torch
import torch.nn.functional as functional


class Linear(torch.autograd.Function):
    """x W^T whose backward adds the weight gradient with the GEMM's own accumulation (as Megatron does)."""

    @staticmethod
    def forward(context, x, weight):
        context.save_for_backward(x, weight)
        return x @ weight.t()

    @staticmethod
    def backward(context, gradient):
        x, weight = context.saved_tensors
        if weight.fresh:
            torch.mm(gradient.t(), x, out=weight.grad)
            weight.fresh = False
        else:
            weight.grad.addmm_(gradient.t(), x)
        return (gradient @ weight if context.needs_input_grad[0] else None), None


class RMSNorm(torch.autograd.Function):
    """x / rms(x) * scale, keeping only x and 1 / rms(x)."""

    @staticmethod
    def forward(context, x, scale, epsilon):
        inverse = torch.linalg.vector_norm(x, dim=-1, keepdim=True).square_().div_(x.shape[-1]).add_(epsilon).rsqrt_()
        context.save_for_backward(x, scale, inverse)
        return (x * inverse).mul_(scale)

    @staticmethod
    def backward(context, gradient):
        x, scale, inverse = context.saved_tensors
        normed = x * inverse
        product = gradient * normed
        scale_gradient = product.sum(0)
        scaled = gradient * scale
        mean = torch.mv(product, scale).div_(-x.shape[-1]).unsqueeze_(-1)
        return scaled.addcmul_(normed, mean).mul_(inverse), scale_gradient, None


class Swiglu(torch.autograd.Function):
    """silu(gate) * up for the fused projection [tokens, 2 ffn]."""

    @staticmethod
    def forward(context, projected):
        context.save_for_backward(projected)
        gate, up = projected.chunk(2, -1)
        return functional.silu(gate).mul_(up)

    @staticmethod
    def backward(context, gradient):
        (projected,) = context.saved_tensors
        gate, up = projected.chunk(2, -1)
        result = torch.empty_like(projected)
        gate_gradient, up_gradient = result.chunk(2, -1)
        torch.mul(gradient, functional.silu(gate), out=up_gradient)
        torch.ops.aten.silu_backward.grad_input(gradient * up, gate, grad_input=gate_gradient)
        return result


class Rotary(torch.autograd.Function):
    """Half-split rotation of x [sequences, heads, tokens, head]; the backward pass turns back."""

    @staticmethod
    def rotate(x, cosine, sine, direction):
        half = x.shape[-1] // 2
        first, second = x[..., :half], x[..., half:]
        result = torch.empty(x.shape, dtype=x.dtype)
        torch.mul(first, cosine, out=result[..., :half]).addcmul_(second, sine, value=-direction)
        torch.mul(second, cosine, out=result[..., half:]).addcmul_(first, sine, value=direction)
        return result

    @staticmethod
    def forward(context, x, cosine, sine):
        context.save_for_backward(cosine, sine)
        return Rotary.rotate(x, cosine, sine, 1)

    @staticmethod
    def backward(context, gradient):
        cosine, sine = context.saved_tensors
        return Rotary.rotate(gradient, cosine, sine, -1), None, None


class Attention(torch.autograd.Function):
    """Causal softmax(q k^T / sqrt(d)) v for q, k, v [matrices, tokens, head], over blocks of queries."""

    @staticmethod
    def forward(context, query, key, value, block):
        tokens, scale = query.shape[1], query.shape[2] ** -0.5
        output = torch.empty_like(query)
        mask = torch.full((block, block), float("-inf")).triu_(1)
        probabilities = []
        for begin in range(0, tokens, block):
            end = min(begin + block, tokens)
            scores = torch.empty((query.shape[0], end - begin, end))
            torch.baddbmm(scores, query[:, begin:end], key[:, :end].transpose(1, 2), beta=0, alpha=scale, out=scores)
            scores[:, :, begin:end] += mask[: end - begin, : end - begin]
            scores = torch.softmax(scores, -1)
            output[:, begin:end] = torch.bmm(scores, value[:, :end])
            probabilities.append(scores)
        context.save_for_backward(query, key, value, *probabilities)
        context.block = block
        return output

    @staticmethod
    def backward(context, gradient):
        query, key, value, *probabilities = context.saved_tensors
        block, tokens, scale = context.block, query.shape[1], query.shape[2] ** -0.5
        query_gradient = torch.empty_like(query)
        key_gradient, value_gradient = torch.zeros_like(key), torch.zeros_like(value)
        for probability, begin in zip(probabilities, range(0, tokens, block)):
            end = min(begin + block, tokens)
            here = gradient[:, begin:end]
            value_gradient[:, :end].baddbmm_(probability.transpose(1, 2), here)
            slope = torch.bmm(here, value[:, :end].transpose(1, 2))
            slope = torch._softmax_backward_data(slope, probability, -1, torch.float32)
            query_gradient[:, begin:end] = torch.bmm(slope, key[:, :end]).mul_(scale)
            key_gradient[:, :end].baddbmm_(slope.transpose(1, 2), query[:, begin:end], alpha=scale)
        return query_gradient, key_gradient, value_gradient, None


class HandWritten:
    linear, rms_norm, swiglu = Linear.apply, RMSNorm.apply, Swiglu.apply
    rotary, attention = Rotary.apply, Attention.apply


class Autograd:
    @staticmethod
    def linear(x, weight):
        return functional.linear(x, weight)

    @staticmethod
    def rms_norm(x, scale, epsilon):
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + epsilon) * scale

    @staticmethod
    def swiglu(projected):
        gate, up = projected.chunk(2, -1)
        return functional.silu(gate) * up

    @staticmethod
    def rotary(x, cosine, sine):
        first, second = x.chunk(2, -1)
        return torch.cat((first * cosine - second * sine, second * cosine + first * sine), -1)

    @staticmethod
    def attention(query, key, value, block):
        mask = torch.full((query.shape[1], query.shape[1]), float("-inf")).triu_(1)
        scores = torch.baddbmm(mask, query, key.transpose(1, 2), alpha=query.shape[2] ** -0.5)
        return torch.bmm(torch.softmax(scores, -1), value)


class Fused(Autograd):
    """PyTorch 2's own attention; torch.compile fuses the rest."""

    @staticmethod
    def attention(query, key, value, block):
        # Its fastest kernels take [batch, heads, tokens, head].
        query, key, value = (tensor.unsqueeze(0) for tensor in (query, key, value))
        return functional.scaled_dot_product_attention(query, key, value, is_causal=True).squeeze(0)


OPERATIONS = {"autograd": Autograd, "hand-written": HandWritten, "compiled": Fused}
