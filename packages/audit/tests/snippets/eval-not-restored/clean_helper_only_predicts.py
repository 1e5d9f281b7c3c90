import torch


@torch.no_grad()
def get_scene_embeddings(audio, model):
    model.eval()
    return model.get_scene_embeddings(audio)


def translate(model, sentence, beam=4):
    model.eval()
    with torch.no_grad():
        return model(sentence, beam)


def neighbours(model, x, k):
    model.eval()
    return model(x).topk(k)
