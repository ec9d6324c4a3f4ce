"""Whole graphs as ONNX files. The package onnx is imported when one is written."""
