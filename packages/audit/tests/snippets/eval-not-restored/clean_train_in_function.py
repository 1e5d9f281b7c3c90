import torch


def train_epoch(model, loader, optimizer):
    model.train()
    for x, y in loader:
        loss = (model(x) - y).square().mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()


def validate(model, loader):
    model.eval()
    with torch.no_grad():
        return sum((model(x) - y).square().mean() for x, y in loader)


def fit(model, loader, valid, optimizer, epochs):
    for _ in range(epochs):
        train_epoch(model, loader, optimizer)
        print(validate(model, valid))
