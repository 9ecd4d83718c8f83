"""One base class for each kind of model: generators, conditional generators, translators, classifiers.

A paper's file is one class on top of one of these. It gives the constructor's defaults, ``networks``, ``training_step``,
the losses and the optimizers. Sampling and translating with the EMA weights, the validation, test and prediction steps, the
check of the first batch and the logged statistics of a discriminator are here.
"""

from ganzoo.models.base.cascade import CascadeModel as CascadeModel
from ganzoo.models.base.classifier import ClassifierModel as ClassifierModel
from ganzoo.models.base.conditional import ConditionalGeneratorModel as ConditionalGeneratorModel
from ganzoo.models.base.domain_adaptation import DomainAdaptationModel as DomainAdaptationModel
from ganzoo.models.base.generator import GeneratorModel as GeneratorModel
from ganzoo.models.base.model import GANModel as GANModel
from ganzoo.models.base.model import ZooModel as ZooModel
from ganzoo.models.base.translator import CycleTranslatorModel as CycleTranslatorModel
from ganzoo.models.base.translator import TranslatorModel as TranslatorModel
