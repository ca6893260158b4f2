// What drive.cpp and drive_plugins.cpp share: counting calls and differences, and the answers of versioned interfaces.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>
#include <type_traits>

namespace drive {

inline std::string text(std::string value) { return value; }
inline std::string text(char const* value) { return value == nullptr ? "nullptr" : value; }
template <class T>
  requires(std::is_integral_v<T> || std::is_enum_v<T>)
std::string text(T value) {
  if constexpr (std::is_same_v<T, bool>) return value ? "true" : "false";
  return std::to_string(static_cast<std::int64_t>(value));
}

// Counts the calls and differences of one interface, tells each difference, and hashes the answers.
class Count {
 public:
  explicit Count(char const* name) : name_(name) {}

  void call(bool right, std::string const& what) {
    if (!counted(what, right)) std::printf("  %s: %s arrived otherwise\n", name_, what.c_str());
  }
  // An answer that every version must give.
  template <class Got, class Wanted>
  void same(std::string const& what, Got const& got, Wanted const& wanted) {
    std::string const answer = text(got);
    for (char const letter : std::string(name_) + ": " + what + ": " + answer + "\n") {
      hash_ = (hash_ ^ static_cast<unsigned char>(letter)) * kFnvPrime;
    }
    if (counted(what, answer == text(wanted))) return;
    std::printf("  %s: %s: %s, not %s\n", name_, what.c_str(), answer.c_str(), text(wanted).c_str());
  }
  void print() const { std::printf("  %s: %d calls, %d differences\n", name_, calls_, differences_); }

  static int all_calls() { return all_calls_; }
  static int all_differences() { return all_differences_; }
  static std::uint64_t hash() { return hash_; }  // FNV-1a
  static char const* last() { return last_; }    // the last call that came back

 private:
  bool counted(std::string const& what, bool right) {
    ++calls_;
    ++all_calls_;
    std::snprintf(last_, sizeof last_, "%s: %s", name_, what.c_str());
    if (right) return true;
    ++differences_;
    ++all_differences_;
    return false;
  }

  static constexpr std::uint64_t kFnvPrime = 0x100000001b3;
  char const* name_;
  int calls_ = 0;
  int differences_ = 0;
  static inline int all_calls_ = 0;
  static inline int all_differences_ = 0;
  static inline std::uint64_t hash_ = 0xcbf29ce484222325;
  static inline char last_[256] = "nothing";
};

// Through a volatile pointer, so that the compiler cannot know whose object it is and must use the virtual table.
template <class Theirs, class Ours>
Theirs* theirs(Ours& object) {
  Theirs* volatile pointer = reinterpret_cast<Theirs*>(&object);
  return pointer;
}

// Are both at the same place of their virtual tables? For functions that do nothing: their answers cannot tell.
template <class Ours, class Theirs>
bool is_same_slot(Ours ours, Theirs theirs) {
  static_assert(sizeof ours == sizeof theirs && std::is_member_function_pointer_v<Ours>);
  return std::memcmp(&ours, &theirs, sizeof ours) == 0;
}

template <class Info>
std::string text_of(Info const& info) {
  return text(info.kind) + " " + text(info.major) + "." + text(info.minor);
}

// A versioned interface names itself; its own default in NVIDIA's header says what the answer must be.
template <class Theirs>
void check_version(Count& count, Theirs* object) {
  if constexpr (requires { object->getInterfaceInfo(); }) {
    count.same("getInterfaceInfo", text_of(object->getInterfaceInfo()), text_of(object->Theirs::getInterfaceInfo()));
    auto const language = object->getAPILanguage();
    count.same("getAPILanguage", language, decltype(language)::kCPP);
  }
}

}  // namespace drive
