import torch
from data import loader, valid
from torch import nn

model = nn.Linear(8, 1)
optimizer = torch.optim.SGD(model.parameters(), 0.1)
for epoch in range(10):
    for x, y in loader:
        loss = (model(x) - y).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.eval()  #! eval-not-restored advice
    print(epoch, (model(valid[0]) - valid[1]).square().mean().item())
