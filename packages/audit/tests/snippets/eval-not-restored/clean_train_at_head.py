import torch


def fit(model, loader, valid, optimizer, epochs):
    for _ in range(epochs):
        model.train()
        for x, y in loader:
            loss = (model(x) - y).square().mean()
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
        model.eval()
        with torch.no_grad():
            print(sum((model(x) - y).square().mean() for x, y in valid))
