#include "core/library.h"

#include <dirent.h>
#include <dlfcn.h>
#include <link.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "core/failure.h"

namespace posemamba::runtime {
namespace {

constexpr const char* kVariable = "POSEMAMBA_LIBRARY_PATH";

bool is_file(const std::string& path) {
  struct stat info{};
  return stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode);
}

std::string base_name(const std::string& path) { return path.substr(path.rfind('/') + 1); }

bool matches(const std::string& name, const std::string& stem) {
  return name == stem || name.compare(0, stem.size() + 1, stem + ".") == 0;
}

struct Loaded {
  const char* stem;
  std::string path;
};

int look_at(struct dl_phdr_info* info, size_t, void* data) {
  Loaded& wanted = *static_cast<Loaded*>(data);
  const std::string path = info->dlpi_name == nullptr ? "" : info->dlpi_name;
  if (!matches(base_name(path), wanted.stem)) return 0;
  wanted.path = path;
  return 1;
}

// Path of a library of that name that the process has loaded, or "".
std::string loaded_copy(const char* stem) {
  Loaded wanted{stem, ""};
  dl_iterate_phdr(look_at, &wanted);
  return wanted.path;
}

// The file a handle came from, as the loader knows it.
std::string path_of(void* handle, const std::string& asked) {
  struct link_map* map = nullptr;
  const bool known = dlinfo(handle, RTLD_DI_LINKMAP, &map) == 0 && map != nullptr;
  return known && map->l_name[0] != '\0' ? map->l_name : asked;
}

std::string listed(const std::vector<std::string>& places) {
  std::string list;
  for (const std::string& place : places) list += (list.empty() ? "" : ", ") + place;
  return list;
}

}  // namespace

Library Library::open(const std::string& path) {
  void* handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    fail(PM_MISSING, "'%s' cannot be loaded (%s): name another with runtime_library", path.c_str(),
         one_line(dlerror()).c_str());
  }
  return Library(handle, path_of(handle, path));
}

Library Library::search(const char* given, const char* stem, const std::vector<std::string>& names,
                        const char* what, const char* fix) {
  if (given != nullptr && given[0] != '\0') return open(given);
  const std::string loaded = loaded_copy(stem);
  if (!loaded.empty()) return open(loaded);
  std::vector<std::string> searched;
  std::string refused;
  for (const std::string& folder : library_folders()) {
    searched.push_back("'" + folder + "'");
    const std::string path = file_in(folder, stem);
    if (path.empty()) continue;
    void* handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (handle != nullptr) return Library(handle, path_of(handle, path));
    refused = one_line(dlerror());
  }
  for (const std::string& name : names) {
    searched.push_back(name + " by the system's loader");
    void* handle = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (handle != nullptr) return Library(handle, path_of(handle, name));
    const char* reason = dlerror();
    const bool absent = reason != nullptr && std::strstr(reason, "cannot open shared object file");
    if (!absent && refused.empty()) refused = one_line(reason);
  }
  fail(PM_MISSING, "%s was not found; looked in %s%s%s%s: %s", what, listed(searched).c_str(),
       refused.empty() ? "" : " (the loader refused one: ", refused.c_str(),
       refused.empty() ? "" : ")", fix);
}

void* Library::address(const char* name) const {
  void* found = dlsym(handle_, name);
  if (found == nullptr) {
    fail(PM_MISMATCH, "'%s' has no function '%s': it is another library, or of another release",
         path_.c_str(), name);
  }
  return found;
}

std::vector<std::string> library_folders() {
  std::vector<std::string> folders;
  Dl_info info{};
  if (dladdr(reinterpret_cast<const void*>(&pm_version), &info) != 0 && info.dli_fname != nullptr) {
    const std::string ours = info.dli_fname;
    const size_t slash = ours.rfind('/');
    folders.push_back(slash == std::string::npos ? "." : ours.substr(0, slash));
  }
  const char* variable = std::getenv(kVariable);
  std::string rest = variable == nullptr ? "" : variable;
  while (!rest.empty()) {
    const size_t colon = rest.find(':');
    if (colon != 0) folders.push_back(rest.substr(0, colon));
    rest = colon == std::string::npos ? "" : rest.substr(colon + 1);
  }
  return folders;
}

std::string file_in(const std::string& folder, const std::string& stem) {
  DIR* listing = opendir(folder.c_str());
  if (listing == nullptr) return "";
  std::vector<std::string> found;
  while (const struct dirent* entry = readdir(listing)) {
    if (matches(entry->d_name, stem)) found.push_back(folder + "/" + entry->d_name);
  }
  closedir(listing);
  std::sort(found.begin(), found.end());
  for (const std::string& path : found) {
    if (is_file(path)) return path;
  }
  return "";
}

std::string find_op_library(const char* given, const char* file) {
  if (given != nullptr && given[0] != '\0') {
    if (is_file(given)) return given;
    fail(PM_MISSING, "op_library '%s' does not exist: check the path, or leave it out to search",
         given);
  }
  for (const std::string& folder : library_folders()) {
    const std::string path = folder + "/" + file;
    if (is_file(path)) return path;
  }
  return "";
}

std::string places_searched() {
  std::string list = listed(library_folders());
  const bool set = std::getenv(kVariable) != nullptr;
  return list + (set ? "" : std::string(" (") + kVariable + " is not set)");
}

}  // namespace posemamba::runtime
