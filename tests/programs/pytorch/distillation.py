"""Knowledge distillation: soft targets at a temperature, a frozen teacher."""

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F


def loss_fn_kd(outputs, labels, teacher_outputs, alpha=0.9, T=4):
    return nn.KLDivLoss(reduction="batchmean")(
        F.log_softmax(outputs / T, dim=1), F.softmax(teacher_outputs / T, dim=1)
    ) * (alpha * T * T) + F.cross_entropy(outputs, labels) * (1.0 - alpha)


def main(set_weights):
    rng = np.random.RandomState(0)
    x = torch.from_numpy(rng.randn(48, 10).astype("float32"))
    y = torch.from_numpy(rng.randint(0, 4, 48)).long()
    teacher = set_weights(nn.Sequential(nn.Linear(10, 32), nn.ReLU(), nn.Dropout(0.3), nn.Linear(32, 4)), 1)
    student = set_weights(nn.Sequential(nn.Linear(10, 6), nn.ReLU(), nn.Linear(6, 4)), 2)
    teacher.eval()
    for param in teacher.parameters():
        param.requires_grad = False
    optimizer = torch.optim.SGD(student.parameters(), lr=0.05, momentum=0.9, nesterov=True, weight_decay=1e-4)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=6)
    curve = []
    for _ in range(6):
        for i in range(0, 48, 16):
            inputs, labels = x[i : i + 16], y[i : i + 16]
            with torch.no_grad():
                teacher_outputs = teacher(inputs)
            loss = loss_fn_kd(student(inputs), labels, teacher_outputs)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            curve.append(loss.item())
        scheduler.step()
        curve.append(scheduler.get_last_lr()[0])
    return curve, list(student.parameters())
