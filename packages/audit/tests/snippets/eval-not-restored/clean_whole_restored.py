import torch
import torch.nn.functional as F
from torch import nn


def fit(model, loader, valid):
    optimizer = torch.optim.Adam(model.parameters())
    for _ in range(10):
        model.train()
        for x, y in loader:
            loss = F.mse_loss(model.decoder(model.encoder(x)), y)
            loss.backward()
            optimizer.step()
        model.encoder.eval()
        model.eval()
        print(model(valid))


def parallel(model, loader, valid):
    optimizer = torch.optim.Adam(model.parameters())
    wrapped = nn.DataParallel(model)
    for _ in range(10):
        wrapped.train()
        for x, y in loader:
            loss = F.mse_loss(wrapped(x), y)
            loss.backward()
            optimizer.step()
        wrapped.eval()
        model.eval()
        print(model(valid))
