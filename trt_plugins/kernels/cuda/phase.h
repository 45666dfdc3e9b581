// Which part of a chunked scan a launch does.
#ifndef POSEMAMBA_KERNELS_CUDA_PHASE_H_
#define POSEMAMBA_KERNELS_CUDA_PHASE_H_

namespace posemamba::cuda {

enum Phase : int {
  kSerial = 0,  // the whole sequence at once
  kStates = 1,  // end states of all chunks but the last; outputs too for chunk 0
  kOutputs = 2  // outputs of all chunks but chunk 0
};

}  // namespace posemamba::cuda
#endif  // POSEMAMBA_KERNELS_CUDA_PHASE_H_
