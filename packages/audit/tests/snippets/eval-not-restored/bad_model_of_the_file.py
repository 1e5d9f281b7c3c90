#! path: gnn.py
import torch
import torch.nn.functional as F
from data import processor, train_set, valid_set
from model import Net


@torch.no_grad()
def compute_test(loader):
    model.eval()  #! eval-not-restored advice
    return sum(F.cross_entropy(model(x), y).item() for x, y in loader)


def evaluate(net, loader):
    examples = processor.get_train_examples()
    for x, y in loader:
        net.eval()  #! eval-not-restored advice
        with torch.no_grad():
            examples.add(net(x), y)
    return examples


model = Net()
optimizer = torch.optim.Adam(model.parameters())

if __name__ == "__main__":
    model.train()
    for epoch in range(10):
        for x, y in train_set:
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
        print(compute_test(valid_set))

    model.train()
    for epoch in range(10):
        for x, y in train_set:
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
        print(evaluate(model, valid_set))
