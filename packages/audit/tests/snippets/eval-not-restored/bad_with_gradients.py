import torch
import torch.nn.functional as F


def fine_tune(model, head, loader, optimizer):
    for x, y in loader:
        model.eval()  #! eval-not-restored advice
        with torch.set_grad_enabled(True):
            F.cross_entropy(head(model(x)).detach() + model(x), y).backward()
        optimizer.step()
