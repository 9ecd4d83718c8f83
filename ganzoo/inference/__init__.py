"""What a trained model is used for, with images from files or from Python; no trainer is needed."""

from ganzoo.inference.translate import translate_images as translate_images
