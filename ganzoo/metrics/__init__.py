"""Measures of trained models: functions of tensors, without Lightning."""
