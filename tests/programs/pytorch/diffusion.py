"""Denoising diffusion of points in the plane: noise schedule, time embedding, sampling."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

timesteps = 20
betas = torch.linspace(1e-4, 0.02, timesteps)
alphas = 1.0 - betas
alphas_cumprod = torch.cumprod(alphas, dim=0)
alphas_cumprod_prev = F.pad(alphas_cumprod[:-1], (1, 0), value=1.0)
posterior_variance = betas * (1.0 - alphas_cumprod_prev) / (1.0 - alphas_cumprod)


def extract(a, t, x_shape):
    batch_size = t.shape[0]
    out = a.gather(-1, t.cpu())
    return out.reshape(batch_size, *((1,) * (len(x_shape) - 1))).to(t.device)


class SinusoidalPositionEmbeddings(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.dim = dim

    def forward(self, time):
        device, half_dim = time.device, self.dim // 2
        embeddings = math.log(10000) / (half_dim - 1)
        embeddings = torch.exp(torch.arange(half_dim, device=device) * -embeddings)
        embeddings = time[:, None] * embeddings[None, :]
        return torch.cat((embeddings.sin(), embeddings.cos()), dim=-1)


class Denoiser(nn.Module):
    def __init__(self):
        super().__init__()
        self.time_mlp = nn.Sequential(SinusoidalPositionEmbeddings(8), nn.Linear(8, 16), nn.SiLU())
        self.inp, self.out = nn.Linear(2, 16), nn.Linear(16, 2)

    def forward(self, x, t):
        return self.out(F.silu(self.inp(x) + self.time_mlp(t)))


def q_sample(x_start, t, noise):
    return (
        extract(torch.sqrt(alphas_cumprod), t, x_start.shape) * x_start
        + extract(torch.sqrt(1.0 - alphas_cumprod), t, x_start.shape) * noise
    )


@torch.no_grad()
def p_sample_loop(model, x, rng):
    for i in reversed(range(timesteps)):
        t = torch.full((x.size(0),), i, dtype=torch.long)
        mean = extract(torch.sqrt(1.0 / alphas), t, x.shape) * (
            x - extract(betas, t, x.shape) * model(x, t) / extract(torch.sqrt(1.0 - alphas_cumprod), t, x.shape)
        )
        noise = torch.from_numpy(rng.randn(*x.shape)).float()
        x = mean if i == 0 else mean + torch.sqrt(extract(posterior_variance, t, x.shape)) * noise
    return x


def main(set_weights):
    rng, losses = np.random.RandomState(0), []
    model = set_weights(Denoiser())
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for _ in range(15):
        x = torch.from_numpy(rng.randn(16, 2)).float() * 0.3 + 1
        t = torch.from_numpy(rng.randint(0, timesteps, (16,))).long()
        noise = torch.from_numpy(rng.randn(16, 2)).float()
        loss = F.smooth_l1_loss(noise, model(q_sample(x, t, noise), t))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    samples = p_sample_loop(model, torch.from_numpy(rng.randn(4, 2)).float(), rng)
    return losses, [*model.parameters(), samples]
