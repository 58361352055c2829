"""A GAN on points of a ring, with label tensors and detach()."""

import numpy as np
import torch
import torch.nn as nn

nz, real_label, fake_label = 4, 1.0, 0.0


def weights_init(m):
    classname = m.__class__.__name__
    if classname.find("Linear") != -1:
        torch.nn.init.normal_(m.weight, 0.0, 0.02)
        torch.nn.init.zeros_(m.bias)


def main(set_weights):
    rng = np.random.RandomState(0)
    netG = nn.Sequential(nn.Linear(nz, 16), nn.ReLU(inplace=True), nn.Linear(16, 2))
    netD = nn.Sequential(nn.Linear(2, 16), nn.LeakyReLU(0.2, inplace=True), nn.Linear(16, 1), nn.Sigmoid())
    netG.apply(weights_init)
    set_weights(netG, 1), set_weights(netD, 2)
    criterion = nn.BCELoss()
    optimizerD = torch.optim.Adam(netD.parameters(), lr=2e-3, betas=(0.5, 0.999))
    optimizerG = torch.optim.Adam(netG.parameters(), lr=2e-3, betas=(0.5, 0.999))
    curve = []
    for _ in range(20):
        angle = torch.tensor(rng.rand(16) * 2 * np.pi, dtype=torch.float32)
        real = torch.stack([torch.cos(angle), torch.sin(angle)], dim=1)
        netD.zero_grad()
        label = torch.full((real.size(0),), real_label, dtype=torch.float)
        errD_real = criterion(netD(real).view(-1), label)
        errD_real.backward()
        noise = torch.from_numpy(rng.randn(real.size(0), nz)).to(torch.float32)
        fake = netG(noise)
        label.fill_(fake_label)
        errD_fake = criterion(netD(fake.detach()).view(-1), label)
        errD_fake.backward()
        errD = errD_real + errD_fake
        optimizerD.step()
        netG.zero_grad()
        label.fill_(real_label)
        errG = criterion(netD(fake).view(-1), label)
        errG.backward()
        optimizerG.step()
        curve += [errD.item(), errG.item()]
    return curve, list(netG.parameters()) + list(netD.parameters())
