// dlopen with errors as exceptions.
#pragma once

#include <string>
#include <vector>

namespace tf2trt::abi {

// Loads `path` and never unloads it. Throws Error(kLibrary) with the loader's own words.
void* load_shared_object(std::string const& path);
// The same, giving nullptr and the loader's words instead of throwing.
void* try_load_shared_object(std::string const& path, std::string* reason = nullptr) noexcept;
// nullptr where there is no such symbol.
void* find_symbol(void* handle, char const* name) noexcept;
// The file that holds `address`, such as an entry point.
std::string file_of(void const* address);
// The files in `folder` whose name starts with `prefix`, the newest version first; {} where there is no such folder.
std::vector<std::string> files_starting_with(std::string const& folder, std::string const& prefix);

}  // namespace tf2trt::abi
