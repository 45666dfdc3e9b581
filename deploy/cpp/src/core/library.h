// Shared libraries opened at run time: where they are looked for, and which one was found.
#pragma once

#include <string>
#include <vector>

namespace posemamba::runtime {

// One opened library. Stays open for the life of the process: ONNX Runtime and TensorRT keep
// threads and exit handlers, and do not survive being closed.
class Library {
 public:
  // The library in `path`, or a Failure(PM_MISSING) with the loader's words.
  static Library open(const std::string& path);

  // The first that opens of: `given` (nothing else, if it is set); a copy the process has already;
  // files named `<stem>` or `<stem>.*` beside our library, then in POSEMAMBA_LIBRARY_PATH; each of
  // `names` by the system's loader.
  // Throws Failure(PM_MISSING) that lists the places; `what` is its subject and `fix` its end.
  static Library search(const char* given, const char* stem, const std::vector<std::string>& names,
                        const char* what, const char* fix);

  const std::string& path() const { return path_; }

  // Address of a function; throws Failure(PM_MISMATCH) if the library has none of that name.
  template <class Function>
  Function symbol(const char* name) const {
    return reinterpret_cast<Function>(address(name));
  }

 private:
  Library(void* handle, std::string path) : handle_(handle), path_(std::move(path)) {}
  void* address(const char* name) const;

  void* handle_;
  std::string path_;
};

// Where files of ours are looked for, in order: our library's folder, POSEMAMBA_LIBRARY_PATH.
std::vector<std::string> library_folders();

// File `<stem>` or `<stem>.*` in a folder, the plain name first; "" if there is none.
std::string file_in(const std::string& folder, const std::string& stem);

// Path of libposemamba_ort.so or libposemamba_trt.so: `given` if set and there, else the first
// found.
// "" if none was found and `given` is null. Throws Failure(PM_MISSING) if `given` is not there.
std::string find_op_library(const char* given, const char* file);

// The folders of library_folders(), as a part of a sentence.
std::string places_searched();

}  // namespace posemamba::runtime
