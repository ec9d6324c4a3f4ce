"""The native backend: LLVM machine code made in process with llvmlite, an optional dependency."""
