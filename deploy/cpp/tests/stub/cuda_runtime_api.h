// What TensorRT's headers name of CUDA; no CUDA is needed to verify places.
#pragma once

using cudaStream_t = struct CUstream_st*;
using cudaEvent_t = struct CUevent_st*;
