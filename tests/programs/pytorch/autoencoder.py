"""An autoencoder out of two Sequentials."""

import numpy as np
import torch
from torch import nn


class Autoencoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(36, 16), nn.ReLU(True), nn.Linear(16, 4))
        self.decoder = nn.Sequential(nn.Linear(4, 16), nn.ReLU(True), nn.Linear(16, 36), nn.Tanh())

    def forward(self, x):
        return self.decoder(self.encoder(x))


def main(set_weights):
    images = torch.as_tensor(np.random.RandomState(0).rand(32, 1, 6, 6), dtype=torch.float32)
    model = set_weights(Autoencoder())
    criterion = nn.MSELoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2, weight_decay=1e-5)
    losses = []
    for epoch in range(20):
        img = images.view(images.size(0), -1) * 2 - 1
        noisy = img.clone().masked_fill(img < -0.9, 0.0)
        output = model(noisy)
        loss = criterion(output, img)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if epoch % 5 == 0:
            losses.append(loss.item())
    codes = model.encoder(images.flatten(1)).detach().numpy()
    return losses, [torch.from_numpy(codes)]
