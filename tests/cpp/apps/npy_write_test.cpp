#include <gtest/gtest.h>

#include "apps/npy.hpp"
#include "support/errors.hpp"
#include "support/files.hpp"
#include "support/npy.hpp"

namespace tf2trt {
namespace {

using test::throws;

constexpr DType kTypes[] = {DType::kFloat32, DType::kFloat16, DType::kInt8, DType::kInt32,
                            DType::kBool,    DType::kUint8,   DType::kInt64};

HostTensor tensor_of(DType dtype, Shape const& shape) {
  HostTensor tensor{dtype, shape, {}};
  tensor.data.resize(bytes_of(dtype, element_count(shape)));
  int next = 1;
  for (auto& byte : tensor.data) byte = static_cast<std::byte>(next++ % 251);
  return tensor;
}

class NpyWriteTest : public testing::Test {
 protected:
  test::TempFolder folder_;
};

TEST_F(NpyWriteTest, ComesBackTheSame) {
  std::string const path = folder_ / "x.npy";
  for (auto const dtype : kTypes) {
    for (Shape const& shape :
         {Shape{}, Shape{1}, Shape{2, 3}, Shape{0}, Shape{2, 0, 3}, Shape{1, 2, 3, 4, 5, 6, 7, 8}}) {
      HostTensor const written = tensor_of(dtype, shape);
      npy::write(path, written);
      HostTensor const read = npy::read(path);
      EXPECT_EQ(read.dtype, dtype) << name_of(dtype);
      EXPECT_EQ(read.shape, shape) << to_string(shape);
      EXPECT_EQ(read.data, written.data);
    }
  }
  EXPECT_EQ(folder_.names(), std::vector<std::string>{"x.npy"});
}

TEST_F(NpyWriteTest, IsLaidOutAsNumPyDoes) {
  std::string const path = folder_ / "x.npy";
  HostTensor const tensor = tensor_of(DType::kFloat32, {3});
  npy::write(path, tensor);
  EXPECT_EQ(test::read_file(path), test::npy_file(test::npy_dict("<f4", "(3,)"), test::text_of(tensor)));
  npy::write(path, tensor_of(DType::kBool, {}));
  EXPECT_EQ(test::read_file(path), test::npy_file(test::npy_dict("|b1", "()"), "\x01"));
}

TEST_F(NpyWriteTest, DataStartsAtAMultipleOf64) {
  Shape shape;
  for (int rank = 0; rank <= 8; ++rank) {
    npy::write(folder_ / "x.npy", tensor_of(DType::kInt8, shape));
    EXPECT_EQ((test::read_file(folder_ / "x.npy").size() - element_count(shape)) % 64, 0U) << to_string(shape);
    shape.push_back(3);
  }
}

TEST_F(NpyWriteTest, AnOldFileIsReplaced) {
  std::string const path = test::write_file(folder_ / "x.npy", "old");
  npy::write(path, tensor_of(DType::kInt8, {4}));
  EXPECT_EQ(npy::read(path).shape, Shape{4});
}

TEST_F(NpyWriteTest, TypesThatNumPyLacks) {
  std::string const path = folder_ / "x.npy";
  for (auto const dtype : {DType::kBfloat16, DType::kFloat8, DType::kInt4}) {
    EXPECT_TRUE(throws(ErrorKind::kOutput, {path, name_of(dtype)}, [&] { npy::write(path, tensor_of(dtype, {2})); }));
  }
  EXPECT_TRUE(folder_.names().empty());
}

TEST_F(NpyWriteTest, AMissingFolderIsNotMade) {
  std::string const path = folder_ / "missing/x.npy";
  EXPECT_TRUE(
      throws(ErrorKind::kOutput, {path, "cannot be written"}, [&] { npy::write(path, tensor_of(DType::kInt8, {4})); }));
  EXPECT_TRUE(folder_.names().empty());
}

TEST_F(NpyWriteTest, AFullDiskIsNoticed) {
  if (!std::filesystem::exists("/dev/full")) GTEST_SKIP() << "no /dev/full here";
  std::string const path = folder_ / "x.npy";
  std::filesystem::create_symlink("/dev/full", path + ".tmp");
  EXPECT_TRUE(throws(ErrorKind::kOutput, {path}, [&] { npy::write(path, tensor_of(DType::kInt8, {4})); }));
  EXPECT_TRUE(folder_.names().empty());
}

TEST_F(NpyWriteTest, NothingIsLeftBehindWhereTheNameIsTaken) {
  std::string const path = folder_ / "x.npy";
  std::filesystem::create_directory(path);
  EXPECT_TRUE(
      throws(ErrorKind::kOutput, {path, "cannot be written"}, [&] { npy::write(path, tensor_of(DType::kInt8, {4})); }));
  EXPECT_EQ(folder_.names(), std::vector<std::string>{"x.npy"});
}

}  // namespace
}  // namespace tf2trt
