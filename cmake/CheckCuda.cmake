# Whether the CUDA kernels are built: POSEMAMBA_WITH_CUDA, with POSEMAMBA_CUDA_VERSION where they are.
#
# What was asked for and cannot be had ends the configuration here, before a compiler fails on it.
set(POSEMAMBA_WITH_CUDA OFF)
set(POSEMAMBA_CUDA_VERSION "")
set(_cuda_reason "")
if(POSEMAMBA_CUDA STREQUAL "OFF")
  set(_cuda_reason "POSEMAMBA_CUDA=OFF")
else()
  include(CheckLanguage)
  check_language(CUDA)
  if(NOT CMAKE_CUDA_COMPILER)
    set(_cuda_reason "no nvcc was found: put it on PATH or set CUDACXX")
  else()
    execute_process(
      COMMAND "${CMAKE_CUDA_COMPILER}" --version
      OUTPUT_VARIABLE _text
      ERROR_QUIET)
    if(NOT _text MATCHES "release ([0-9]+\\.[0-9]+)")
      set(_cuda_reason "'${CMAKE_CUDA_COMPILER} --version' names no release")
    elseif(CMAKE_MATCH_1 VERSION_LESS 12 OR CMAKE_MATCH_1 VERSION_GREATER_EQUAL 14)
      set(_cuda_reason "${CMAKE_CUDA_COMPILER} is of CUDA ${CMAKE_MATCH_1}, the kernels are made \
for CUDA 12 and 13")
    else()
      set(POSEMAMBA_WITH_CUDA ON)
      set(POSEMAMBA_CUDA_VERSION "${CMAKE_MATCH_1}")
    endif()
  endif()
endif()

if(POSEMAMBA_WITH_CUDA)
  # As CMake takes them: 87, 87-real, 90a-virtual, or words such as "native".
  set(_architectures "${CMAKE_CUDA_ARCHITECTURES}")
  if(NOT _architectures)
    set(_architectures "$ENV{CUDAARCHS}")
  endif()
  execute_process(
    COMMAND "${CMAKE_CUDA_COMPILER}" --list-gpu-arch
    OUTPUT_VARIABLE _known
    ERROR_QUIET)
  string(REGEX MATCHALL "[0-9]+" _known "${_known}")
  foreach(_architecture IN LISTS _architectures)
    if(_architecture MATCHES "^([0-9]+)" AND _known AND NOT CMAKE_MATCH_1 IN_LIST _known)
      list(JOIN _known ", " _known)
      message(
        FATAL_ERROR
          "CMAKE_CUDA_ARCHITECTURES has ${_architecture}, but CUDA ${POSEMAMBA_CUDA_VERSION} \
(${CMAKE_CUDA_COMPILER}) makes code for ${_known} only: leave it out or use another CUDA")
    endif()
  endforeach()
  message(STATUS "CUDA kernels: built with CUDA ${POSEMAMBA_CUDA_VERSION}, ${CMAKE_CUDA_COMPILER}")
elseif(POSEMAMBA_CUDA STREQUAL "ON")
  message(FATAL_ERROR "POSEMAMBA_CUDA is ON, but the kernels cannot be built: ${_cuda_reason}")
else()
  message(STATUS "CUDA kernels: not built (${_cuda_reason})")
endif()
