import torch
import torch.nn.functional as F
from model import Net, train_on_batch


def compute_test(loader):
    model = Net()  # another model than the one that is trained
    model.eval()
    return [model(x) for x in loader]


def fit(loader, valid):
    model = Net()
    optimizer = torch.optim.Adam(model.parameters())
    for x, y in loader:
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
        compute_test(valid)


def fit_elsewhere(model, loader, optimizer):
    for batch in loader:
        model.eval()
        train_on_batch(model, batch)  # which may set the mode
        optimizer.step()
