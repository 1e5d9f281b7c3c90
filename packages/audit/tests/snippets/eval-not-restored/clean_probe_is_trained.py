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
    print(sum(each.numel() for each in model.parameters()))
    for path in args.checkpoints:
        model.load_state_dict(torch.load(path))
        # Only the classifier is trained here.
        print(probe(embed(model, loader), labels, args))
