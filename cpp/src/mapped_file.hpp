// A file's bytes without a copy of them.
#pragma once

#include <cstddef>
#include <string>

namespace tf2trt {

// A whole file, mapped to read: its pages are the system's own, come in as they are read, and are given back at the
// end of its life. Must not be shortened meanwhile, so whoever replaces a file renames a new one over it.
class MappedFile {
 public:
  // Throws Error(kEngine) where the file is missing, cannot be read or is no ordinary file.
  explicit MappedFile(std::string const& path);
  ~MappedFile();
  MappedFile(MappedFile const&) = delete;
  MappedFile& operator=(MappedFile const&) = delete;
  MappedFile(MappedFile&&) = delete;
  MappedFile& operator=(MappedFile&&) = delete;

  // nullptr for an empty file.
  [[nodiscard]] void const* data() const noexcept { return data_; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }

 private:
  void* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace tf2trt
