#! path: easyocr/recognition.py
import torch


def recognizer_predict(model, loader, device):
    model.eval()
    with torch.no_grad():
        return [model(images.to(device)) for images in loader]
