import torch
import torch.nn.functional as F


def fit(encoder, decoder, loader, valid):
    optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()])
    for _ in range(10):
        encoder.train()
        for x, y in loader:
            loss = F.mse_loss(decoder(encoder(x)), y)
            loss.backward()
            optimizer.step()
        encoder.eval()
        decoder.eval()  #! eval-not-restored advice
        print(decoder(encoder(valid)))
