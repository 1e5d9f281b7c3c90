import torch
import torch.nn.functional as F
from classifier import Classifier


def embed(model, loader):
    model.train(False)  #! eval-not-restored advice
    return torch.cat([model.embed(x).detach() for x, _ in loader])


def score(embeddings, labels, device):
    size, classes = embeddings.shape[1], labels.unique().shape[0]
    classifier = Classifier(embeddings.shape[1], size, classes).to(device)
    optimizer = torch.optim.Adam(classifier.parameters())
    for _ in range(100):
        classifier.train()
        loss = F.cross_entropy(classifier(embeddings), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return (classifier(embeddings).argmax(1) == labels).float().mean()


def main(model, loader, labels, device):
    optimizer = torch.optim.Adam(model.parameters())
    model.train()
    for epoch in range(100):
        for x, y in loader:
            optimizer.zero_grad()
            model(x, y).backward()
            optimizer.step()
        if epoch % 10 == 0:
            embeddings = embed(model, loader)
            print(score(embeddings, labels, device))
