import torch
import torch.nn.functional as F


def valid(model, loader):
    model.eval()  #! eval-not-restored advice
    with torch.no_grad():
        return sum(F.cross_entropy(model(x), y).item() for x, y in loader)


def fit(model, loader, held_out, optimizer):
    best_loss = float("inf")
    model.train()
    for _ in range(10):
        for x, y in loader:
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
        loss = valid(model, held_out)
        if loss < best_loss:
            best_loss = loss
            torch.save(model.state_dict(), "best.pt")
            model.train()
