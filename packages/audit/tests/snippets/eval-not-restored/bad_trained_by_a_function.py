import torch.nn.functional as F


def validate(model, loader):
    model.eval()  #! eval-not-restored advice
    return sum(model(x).sum().item() for x, _ in loader)


def train_epoch(model, optimizer, loader):
    for x, y in loader:
        loss = F.mse_loss(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def main(model, optimizer, loader, valid):
    for epoch in range(100):
        train_epoch(model, optimizer, loader)
        print(epoch, validate(model, valid))
