// Which part of a chunked scan a launch does.
#pragma once

namespace posemamba::cuda {

enum Phase : int {
  kSerial = 0,  // the whole sequence at once
  kStates = 1,  // end states of all chunks but the last; outputs too for chunk 0
  kOutputs = 2  // outputs of all chunks but chunk 0
};

}  // namespace posemamba::cuda
