#! path: src/recognition.py
import torch
import torch.nn.functional as F


def predict(model, loader, device):
    model.eval()  #! eval-not-restored advice
    with torch.no_grad():
        return [model(images.to(device)) for images in loader]


def fit(model, loader, valid, optimizer):
    for x, y in loader:
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
    predict(model, valid, x.device)
