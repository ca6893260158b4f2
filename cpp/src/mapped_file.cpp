#include "mapped_file.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "tf2trt/error.hpp"

namespace tf2trt {
namespace {

[[noreturn]] void refuse(std::string const& path, std::string const& received) {
  throw Error(ErrorKind::kEngine, path + ": cannot be read", {received, "an existing .engine file", ""});
}

// The words for errno, in which the last call left what was wrong.
std::string last_error() { return std::system_category().message(errno); }

// Closes the file; a mapping stays without it.
struct Descriptor {
  int const number;
  explicit Descriptor(int opened) : number(opened) {}
  ~Descriptor() {
    if (number >= 0) close(number);
  }
  Descriptor(Descriptor const&) = delete;
  Descriptor& operator=(Descriptor const&) = delete;
};

}  // namespace

MappedFile::MappedFile(std::string const& path) {
  // Without O_NONBLOCK a pipe of this name would be waited for.
  Descriptor const file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat status{};
  if (file.number < 0 || fstat(file.number, &status) != 0) refuse(path, last_error());
  if (!S_ISREG(status.st_mode)) refuse(path, S_ISDIR(status.st_mode) ? "a folder" : "no ordinary file");
  size_ = static_cast<std::size_t>(status.st_size);
  if (size_ == 0) return;  // there is nothing to map, and mmap refuses it
  void* const address = mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, file.number, 0);
  if (address == MAP_FAILED) refuse(path, last_error());
  data_ = address;
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) munmap(data_, size_);
}

}  // namespace tf2trt
