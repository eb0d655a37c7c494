// A disk that is easily full: a tmpfs of a given size over a folder, in a mount namespace of this process, so
// that nobody else sees it. It takes root; without it usable() is false and the reason has been printed.
#pragma once

#include <sched.h>
#include <sys/mount.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>

class SmallDisk {
 public:
  SmallDisk(const std::string& folder, const std::string& size) : folder_(folder) {
    usable_ = ::unshare(CLONE_NEWNS) == 0 &&
              ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
              ::mount("tmpfs", folder.c_str(), "tmpfs", 0, ("size=" + size).c_str()) == 0;
    if (!usable_)
      std::fprintf(stderr, "SKIPPED: no small disk can be mounted here (%s); it takes root\n",
                   std::strerror(errno));
  }
  ~SmallDisk() {
    if (usable_) ::umount2(folder_.c_str(), MNT_DETACH);
  }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;

  bool usable() const { return usable_; }
  bool resize(const std::string& size) const {
    return ::mount("tmpfs", folder_.c_str(), "tmpfs", MS_REMOUNT, ("size=" + size).c_str()) == 0;
  }

 private:
  std::string folder_;
  bool usable_ = false;
};
