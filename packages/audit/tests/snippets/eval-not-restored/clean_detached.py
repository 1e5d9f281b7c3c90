import torch
import torch.nn.functional as F


def fine_tune(backbone, head, loader, optimizer):
    for x, y in loader:
        backbone.eval()
        F.cross_entropy(head(backbone(x).detach()), y).backward()
        optimizer.step()


def of_features(backbone, head, loader, optimizer):
    for x, y in loader:
        backbone.eval()
        with torch.set_grad_enabled(False):
            features = backbone(x)
        F.cross_entropy(head(features), y).backward()
        optimizer.step()
