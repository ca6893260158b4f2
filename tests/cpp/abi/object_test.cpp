#include "abi/object.hpp"

#include <gtest/gtest.h>

#include <utility>

#include "abi/slots.hpp"
#include "support/mock.hpp"

namespace tf2trt::abi {
namespace {

int g_deleted = 0;

class Counted : public test::Object {
 public:
  Counted() : Object(nullptr) {}
  ~Counted() override { ++g_deleted; }
  Counted(Counted const&) = delete;
  Counted& operator=(Counted const&) = delete;
};

// IParser of 11: its destructor comes after six functions, in slots 6 and 7.
class Parser : public test::Skip<test::Nothing, 6> {
 public:
  Parser() = default;
  virtual ~Parser() { ++g_deleted; }
  Parser(Parser const&) = delete;
  Parser& operator=(Parser const&) = delete;
};

class OwnedTest : public testing::Test {
 protected:
  int before_ = live_objects();
  void SetUp() override { g_deleted = 0; }
  void TearDown() override { EXPECT_EQ(live_objects(), before_); }
};

TEST_F(OwnedTest, DeletesOnceThroughSlotOne) {
  {
    Owned const owned(new Counted);
    EXPECT_TRUE(owned);
    EXPECT_EQ(live_objects(), before_ + 1);
    EXPECT_EQ(g_deleted, 0);
  }
  EXPECT_EQ(g_deleted, 1);
}

TEST_F(OwnedTest, DeletesTheParserThroughItsOwnSlot) {
  {
    Owned const owned(new Parser, Api(11, {11, 1, 0}).slot(Method::IParser_deletingDestructor));
    EXPECT_EQ(g_deleted, 0);
  }
  EXPECT_EQ(g_deleted, 1);
}

TEST_F(OwnedTest, EmptyOwnersCountNothing) {
  Owned const none;
  Owned const null(nullptr);
  EXPECT_FALSE(none);
  EXPECT_FALSE(null);
  EXPECT_EQ(null.get(), nullptr);
  EXPECT_EQ(live_objects(), before_);
}

TEST_F(OwnedTest, MovingHandsOver) {
  auto* object = new Counted;
  Owned first(object);
  Owned second(std::move(first));
  EXPECT_FALSE(first);  // NOLINT(bugprone-use-after-move): empty is what it promises
  EXPECT_EQ(second.get(), object);
  EXPECT_EQ(live_objects(), before_ + 1);
  second.reset();
  EXPECT_EQ(g_deleted, 1);
  second.reset();
  EXPECT_EQ(g_deleted, 1);
}

TEST_F(OwnedTest, AssigningDeletesWhatWasHeld) {
  Owned held(new Counted);
  held = Owned(new Counted);
  EXPECT_EQ(g_deleted, 1);
  EXPECT_EQ(live_objects(), before_ + 1);
  held = Owned();
  EXPECT_EQ(g_deleted, 2);
  EXPECT_FALSE(held);
}

TEST_F(OwnedTest, AssigningTakesTheDestructorSlotAlong) {
  Owned held(new Counted);
  held = Owned(new Parser, 7);
  EXPECT_EQ(g_deleted, 1);
  held = Owned(new Counted);
  EXPECT_EQ(g_deleted, 2);
}

TEST_F(OwnedTest, AssigningToItselfKeeps) {
  Owned held(new Counted);
  Owned& same = held;
  held = std::move(same);
  EXPECT_TRUE(held);
  EXPECT_EQ(g_deleted, 0);
}

}  // namespace
}  // namespace tf2trt::abi
