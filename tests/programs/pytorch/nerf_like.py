"""A coordinate network with Fourier features: volume rendering along rays by cumprod, PSNR."""

import numpy as np
import torch
import torch.nn as nn


def positional_encoding(tensor, num_encoding_functions=3):
    encoding = [tensor]
    for n in range(num_encoding_functions):
        for func in [torch.sin, torch.cos]:
            encoding.append(func(2.0**n * tensor))
    return torch.cat(encoding, dim=-1)


def cumprod_exclusive(tensor):
    cumprod = torch.cumprod(tensor, -1)
    cumprod = torch.roll(cumprod, 1, dims=-1)
    cumprod[..., 0] = 1.0
    return cumprod


def render_volume_density(radiance_field, depth_values):
    sigma_a = torch.nn.functional.relu(radiance_field[..., 3])
    rgb = torch.sigmoid(radiance_field[..., :3])
    one_e_10 = torch.tensor([1e10], dtype=depth_values.dtype)
    dists = torch.cat((depth_values[..., 1:] - depth_values[..., :-1], one_e_10.expand(depth_values[..., :1].shape)), dim=-1)  # fmt: skip
    alpha = 1.0 - torch.exp(-sigma_a * dists)
    weights = alpha * cumprod_exclusive(1.0 - alpha + 1e-10)
    rgb_map = (weights[..., None] * rgb).sum(dim=-2)
    return rgb_map, (weights * depth_values).sum(dim=-1), weights.sum(-1)


def main(set_weights):
    rng, curve = np.random.RandomState(0), []
    model = set_weights(nn.Sequential(nn.Linear(21, 24), nn.ReLU(), nn.Linear(24, 4)))
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    origins = torch.from_numpy(rng.randn(8, 3)).float()
    directions = torch.nn.functional.normalize(torch.from_numpy(rng.randn(8, 3)).float(), dim=-1)
    target = torch.from_numpy(rng.rand(8, 3)).float()
    depth = torch.linspace(0.5, 2.0, 6).expand(8, 6)
    for _ in range(10):
        points = origins[..., None, :] + directions[..., None, :] * depth[..., :, None]
        encoded = positional_encoding(points.reshape((-1, 3)))
        batches = [encoded[i : i + 16] for i in range(0, encoded.shape[0], 16)]
        radiance = torch.cat([model(batch) for batch in batches], dim=0)
        radiance = torch.reshape(radiance, list(points.shape[:-1]) + [4])
        rgb, depth_map, acc = render_volume_density(radiance, depth)
        loss = torch.nn.functional.mse_loss(rgb, target)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        psnr = -10.0 * torch.log10(loss)
        curve += [loss.item(), psnr.item(), acc.mean().item(), depth_map.mean().item()]
    return curve, list(model.parameters())
