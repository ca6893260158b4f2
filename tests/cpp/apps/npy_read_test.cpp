#include <gtest/gtest.h>

#include "apps/npy.hpp"
#include "support/errors.hpp"
#include "support/files.hpp"
#include "support/npy.hpp"

namespace tf2trt {
namespace {

using test::npy_dict;
using test::npy_file;
using test::text_of;
using test::throws;

class NpyReadTest : public testing::Test {
 protected:
  std::string write(std::string const& bytes) { return test::write_file(folder_ / "x.npy", bytes); }
  // What is refused, and why.
  testing::AssertionResult refused(std::string const& bytes, std::string const& why) {
    std::string const path = write(bytes);
    return throws(ErrorKind::kInput, {path, why}, [&] { npy::read(path); });
  }
  test::TempFolder folder_;
};

TEST_F(NpyReadTest, NumPysOwnFiles) {
  std::string const data = "0123456789abcdef01234567";
  for (int const version : {1, 2, 3}) {
    HostTensor const tensor = npy::read(write(npy_file(npy_dict("<f4", "(2, 3)"), data, version)));
    EXPECT_EQ(tensor.dtype, DType::kFloat32);
    EXPECT_EQ(tensor.shape, (Shape{2, 3}));
    EXPECT_EQ(text_of(tensor), data);
  }
}

TEST_F(NpyReadTest, EveryType) {
  struct Type {
    char const* descr;
    DType dtype;
  };
  for (auto const& [descr, dtype] : {Type{"<f4", DType::kFloat32}, Type{"<f2", DType::kFloat16},
                                     Type{"|i1", DType::kInt8}, Type{"<i4", DType::kInt32}, Type{"|b1", DType::kBool},
                                     Type{"|u1", DType::kUint8}, Type{"<i8", DType::kInt64}}) {
    std::string const data(bytes_of(dtype, 3), 'x');
    HostTensor const tensor = npy::read(write(npy_file(npy_dict(descr, "(3,)"), data)));
    EXPECT_EQ(tensor.dtype, dtype) << descr;
    EXPECT_EQ(tensor.shape, Shape{3});
    EXPECT_EQ(text_of(tensor), data);
  }
}

TEST_F(NpyReadTest, ScalarsAndEmptyArrays) {
  HostTensor const scalar = npy::read(write(npy_file(npy_dict("<i4", "()"), "abcd")));
  EXPECT_EQ(scalar.shape, Shape{});
  EXPECT_EQ(text_of(scalar), "abcd");
  HostTensor const empty = npy::read(write(npy_file(npy_dict("<i4", "(0, 3)"), "")));
  EXPECT_EQ(empty.shape, (Shape{0, 3}));
  EXPECT_TRUE(empty.data.empty());
}

TEST_F(NpyReadTest, OtherLayoutsAreRefused) {
  EXPECT_TRUE(refused(npy_file(npy_dict("<f4", "(2, 3)", true), std::string(24, 'x')), "column-major"));
  EXPECT_TRUE(refused(npy_file(npy_dict(">f4", "(1,)"), "abcd"), "type >f4"));
  EXPECT_TRUE(refused(npy_file(npy_dict("<f8", "(1,)"), "01234567"), "type <f8"));
  EXPECT_TRUE(refused(npy_file(npy_dict("|O", "(1,)"), "x"), "type |O"));
}

TEST_F(NpyReadTest, HeadersWithoutWhatIsNeeded) {
  EXPECT_TRUE(refused(npy_file("{'fortran_order': False, 'shape': (1,), }", "abcd"), "without a type"));
  EXPECT_TRUE(refused(npy_file("{'descr': '<f4', 'fortran_order': False, }", "abcd"), "no shape"));
  EXPECT_TRUE(refused(npy_file(npy_dict("<f4", "(-1,)"), "abcd"), "no shape"));
  EXPECT_TRUE(refused(npy_file(std::string(), "abcd"), "without a type"));
}

TEST_F(NpyReadTest, TruncatedAtEveryLength) {
  for (int const version : {1, 2}) {
    std::string const bytes = npy_file(npy_dict("<f4", "(2,)"), "01234567", version);
    for (std::size_t size = 0; size < bytes.size(); ++size) EXPECT_TRUE(refused(bytes.substr(0, size), "")) << size;
    EXPECT_TRUE(refused(bytes.substr(0, bytes.size() - 1), "7 bytes of data where the shape needs 8"));
    EXPECT_TRUE(refused(bytes + "x", "9 bytes of data"));
  }
}

TEST_F(NpyReadTest, ExtentsThatNoMemoryHolds) {
  EXPECT_TRUE(refused(npy_file(npy_dict("<f4", "(99999999999999999999,)"), ""), ""));
  EXPECT_TRUE(refused(npy_file(npy_dict("<f4", "(4294967296, 4294967296)"), ""), ""));
}

TEST_F(NpyReadTest, OtherFilesAreRefused) {
  EXPECT_TRUE(refused("", "no .npy file"));
  EXPECT_TRUE(refused("text", "no .npy file"));
  EXPECT_TRUE(refused(std::string(1000, 'x'), "no .npy file"));
}

TEST_F(NpyReadTest, MissingFilesAndFolders) {
  EXPECT_TRUE(throws(ErrorKind::kInput, {"/no/such/x.npy"}, [] { npy::read("/no/such/x.npy"); }));
  EXPECT_TRUE(throws(ErrorKind::kInput, {folder_.path()}, [&] { npy::read(folder_.path()); }));
}

}  // namespace
}  // namespace tf2trt
