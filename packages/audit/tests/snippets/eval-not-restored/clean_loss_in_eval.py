def train(model, loader, criterion, optimizer):
    model.train()
    for x, y in loader:
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        optimizer.step()


def test(model, loader, criterion):
    model.eval()
    criterion.eval()
    return sum(criterion(model(x), y).item() for x, y in loader)


def fit(model, loader, valid, criterion, optimizer):
    for epoch in range(10):
        train(model, loader, criterion, optimizer)
        print(epoch, test(model, valid, criterion))
