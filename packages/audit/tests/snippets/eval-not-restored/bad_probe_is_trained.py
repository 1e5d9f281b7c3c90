import torch


def embed(model, loader):
    model.train(False)
    return torch.cat([model.embed(x).detach() for x in loader])


def probe(embeddings, labels, args):
    classifier = Classifier(embeddings.shape[1], args.classes).to(args.device)
    optimizer = torch.optim.Adam(classifier.parameters())
    for _ in range(100):
        classifier.train()
        loss = classifier(embeddings, labels)
        loss.backward()
        optimizer.step()
    return classifier(embeddings, labels)


def main(args, loader, labels):
    model = Encoder(args)
    optimizer = torch.optim.Adam(model.parameters())
    model.train()
    for epoch in range(args.epochs):
        for x in loader:
            model(x).sum().backward()
            optimizer.step()
        if epoch % 10 == 0:
            found = embed(model, loader)  #! eval-not-restored advice
            print(probe(found, labels, args))
