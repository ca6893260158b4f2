// Libraries that are opened by path: fakes of many versions.
#include "tf2trt/library.hpp"

#include <gtest/gtest.h>

#include "cuda_driver.hpp"
#include "library_state.hpp"
#include "support/errors.hpp"
#include "support/files.hpp"
#include "support/libraries.hpp"
#include "tf2trt/plan.hpp"

namespace tf2trt {
namespace {

using test::put_fake;
using test::throws;

class LibraryTest : public testing::Test {
 protected:
  std::string put(std::string const& fake, std::string const& name) { return put_fake(fake, folder_ / name); }
  Library open(std::string const& fake) { return Library::open(put(fake, "lib" + fake + ".so")); }
  test::TempFolder folder_;
};

struct Known {
  char const* fake;
  LibraryKind kind;
  char const* version;
  int generation;
};

class KnownLibraryTest : public LibraryTest, public testing::WithParamInterface<Known> {};

TEST_P(KnownLibraryTest, IsOpened) {
  Known const known = GetParam();
  std::string const path = put(known.fake, "libx.so");
  Library const library = Library::open(path);
  EXPECT_EQ(library.kind(), known.kind);
  EXPECT_EQ(library.version_text(), known.version);
  EXPECT_EQ(library.generation(), known.generation);
  EXPECT_EQ(library.path(), path);
  EXPECT_EQ(library.parser_path(), "");
  EXPECT_EQ(library.can_build(), known.kind != LibraryKind::kLean);
  EXPECT_FALSE(library.can_parse());
  EXPECT_EQ(library.builds_without_gpu(), known.kind == LibraryKind::kRtx);
  EXPECT_EQ(library.strongly_typed(), known.generation == 11);
}

INSTANTIATE_TEST_SUITE_P(Fakes, KnownLibraryTest,
                         testing::Values(Known{"full-8501", LibraryKind::kFull, "8.5.1", 8},
                                         Known{"full-8600", LibraryKind::kFull, "8.6.0", 8},
                                         Known{"full-100300", LibraryKind::kFull, "10.3.0", 10},
                                         Known{"full-101601", LibraryKind::kFull, "10.16.1", 10},
                                         Known{"full-110400", LibraryKind::kFull, "11.4.0", 11},
                                         Known{"full-10701", LibraryKind::kRtx, "1.7.1", 11},
                                         Known{"lean-8600", LibraryKind::kLean, "8.6.0", 8},
                                         Known{"lean-101601", LibraryKind::kLean, "10.16.1", 10},
                                         Known{"lean-110400", LibraryKind::kLean, "11.4.0", 11}),
                         [](auto const& test) {
                           std::string name = test.param.fake;
                           name[name.find('-')] = '_';
                           return name;
                         });

TEST_F(LibraryTest, OtherVersionsAreRefusedByNumber) {
  struct Refused {
    char const* fake;
    char const* version;
    char const* hint;
  };
  for (auto const& [fake, version, hint] :
       {Refused{"full-7200", "TensorRT 7.2.0", "install"}, Refused{"full-8205", "TensorRT 8.2.5", "JetPack to 5.1"},
        Refused{"full-9300", "TensorRT 9.3.0", "install"}, Refused{"full-120000", "TensorRT 12.0.0", "install"}}) {
    std::string const path = put(fake, std::string("lib") + fake + ".so");
    EXPECT_TRUE(throws(ErrorKind::kUnsupportedVersion, {path, version, "8.5-8.6, 10.x, 11.x or TensorRT-RTX 1.7", hint},
                       [&] { Library::open(path); }));
  }
}

TEST_F(LibraryTest, EarlierRtxIsRefused) {
  std::string const path = put("full-10600", "libtensorrt_rtx.so.1");
  EXPECT_TRUE(throws(ErrorKind::kUnsupportedVersion,
                     {path, "TensorRT-RTX 1.6.0", "1.7 or later", "pip install -U onnxruntime-ep-nv-tensorrt-rtx-cu13"},
                     [&] { Library::open(path); }));
}

TEST_F(LibraryTest, OtherLibrariesAreRefused) {
  std::string const path = put("nothing", "libnvinfer.so.10");
  EXPECT_TRUE(throws(ErrorKind::kLibrary, {path, "not a TensorRT library", "getInferLibVersion"},
                     [&] { Library::open(path); }));
}

TEST_F(LibraryTest, TextFilesAreRefusedInTheLoadersWords) {
  for (std::string const& text : {std::string("text"), std::string(), std::string(10000, 'x')}) {
    std::string const path = test::write_file(folder_ / "libnvinfer.so.10", text);
    EXPECT_TRUE(throws(ErrorKind::kLibrary, {path, "cannot be loaded"}, [&] { Library::open(path); }));
  }
}

TEST_F(LibraryTest, MissingFilesAndFolders) {
  EXPECT_TRUE(throws(ErrorKind::kLibraryNotFound, {"/no/such/libnvinfer.so.8", "no such file"},
                     [] { Library::open("/no/such/libnvinfer.so.8"); }));
  EXPECT_TRUE(throws(ErrorKind::kLibrary, {folder_.path()}, [&] { Library::open(folder_.path()); }));
  EXPECT_TRUE(throws(ErrorKind::kLibrary, {"libno_such.so.1"}, [] { Library::open("libno_such.so.1"); }));
}

TEST_F(LibraryTest, TheParserBesideIsFound) {
  std::string const library = put("full-8600", "libnvinfer.so.8");
  test::write_file(folder_ / "libnvonnxparser.so.10", "");
  EXPECT_EQ(Library::open(library).parser_path(), "");
  std::string const parser = test::write_file(folder_ / "libnvonnxparser.so.8", "");
  EXPECT_EQ(Library::open(library).parser_path(), parser);
  EXPECT_TRUE(Library::open(library).can_parse());
}

TEST_F(LibraryTest, RtxHasItsOwnParser) {
  std::string const library = put("full-10701", "libtensorrt_rtx.so.1");
  test::write_file(folder_ / "libnvonnxparser.so.1", "");
  EXPECT_FALSE(Library::open(library).can_parse());
  std::string const parser = test::write_file(folder_ / "libtensorrt_onnxparser_rtx.so", "");
  EXPECT_EQ(Library::open(library).parser_path(), parser);
}

TEST_F(LibraryTest, TheLeanRuntimeNeedsNoParser) {
  std::string const library = put("lean-101601", "libnvinfer_lean.so.10");
  test::write_file(folder_ / "libnvonnxparser.so.10", "");
  EXPECT_FALSE(Library::open(library).can_parse());
}

PlanHeader plan(int major, int minor, int patch) { return {{major, minor, patch, 0}, 0}; }

TEST_F(LibraryTest, AFullLibraryReadsItsOwnVersion) {
  Library const library = open("full-101601");
  EXPECT_TRUE(library.reads(plan(10, 16, 1)));
  EXPECT_FALSE(library.reads(plan(10, 16, 0)));
  EXPECT_FALSE(library.reads(plan(10, 3, 1)));
  EXPECT_FALSE(library.reads(plan(11, 16, 1)));
  EXPECT_TRUE(open("full-10701").reads(plan(1, 7, 1)));
}

TEST_F(LibraryTest, ALeanRuntimeReadsItsMajorVersion) {
  Library const library = open("lean-101601");
  EXPECT_TRUE(library.reads(plan(10, 16, 1)));
  EXPECT_TRUE(library.reads(plan(10, 0, 0)));
  EXPECT_FALSE(library.reads(plan(8, 6, 0)));
  EXPECT_FALSE(library.reads(plan(11, 0, 0)));
}

// The fakes refuse to make anything and say which version they were asked for: it must be their own.
TEST_F(LibraryTest, EntryPointsAreGivenTheirOwnVersion) {
  ErrorKind const kind = cuda::available() ? ErrorKind::kLibrary : ErrorKind::kDevice;
  for (char const* number : {"8600", "101601", "110400", "10701"}) {
    Library const library = open(std::string("full-") + number);
    // Without a driver a runtime is not asked for at all: 8.6.0's crashes there.
    std::string const runtime = std::string("fake runtime refuses version ") + number;
    EXPECT_TRUE(throws(kind, {cuda::available() ? runtime : "no NVIDIA driver"},
                       [&] { (void)library.state().make_runtime(); }));
    EXPECT_TRUE(throws(kind, {"IBuilder could not", std::string("fake builder refuses version ") + number},
                       [&] { (void)library.state().make_builder(); }));
  }
  EXPECT_EQ(abi::live_objects(), 0);
}

TEST_F(LibraryTest, TheLeanRuntimeCannotBuild) {
  Library const library = open("lean-8600");
  EXPECT_TRUE(throws(ErrorKind::kLibrary, {library.path(), "lean runtime cannot build"},
                     [&] { (void)library.state().make_builder(); }));
}

TEST_F(LibraryTest, AMissingOrWrongParserIsNamed) {
  Library const without = open("full-110400");
  EXPECT_TRUE(throws(ErrorKind::kLibrary, {without.path(), "no ONNX parser", "libnvonnxparser.so"},
                     [&] { (void)without.state().make_parser(nullptr); }));
  std::string const parser = put("nothing", "libnvonnxparser.so.8");
  Library const wrong = Library::open(put("full-8600", "libnvinfer.so.8"));
  for (int i = 0; i < 2; ++i) {
    EXPECT_TRUE(throws(ErrorKind::kLibrary, {parser, "not TensorRT's ONNX parser"},
                       [&] { (void)wrong.state().make_parser(nullptr); }));
  }
}

}  // namespace
}  // namespace tf2trt
