/* SPDX-License-Identifier: MPL-2.0 */
#include "hypervisor/host.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

/* Real mode: mov ecx, LOOPS; 1: dec ecx; jnz 1b; hlt. Well under a millisecond on hardware; 100 ms
 * where each instruction is emulated. */
#define LOOPS 100000
#define SLOW_US 20000
#define GIVE_UP_US 200000
#define CODE_ADDRESS 0x1000

static const guint8 loop_code[] = {
  0x66, 0xb9, LOOPS & 0xff, LOOPS >> 8 & 0xff, LOOPS >> 16 & 0xff, 0, 0x66, 0x49, 0x75, 0xfc, 0xf4,
};

typedef struct {
  int vcpu;
  struct kvm_run *run;
} Probe;

static gboolean
set_up_registers (int vcpu)
{
  struct kvm_sregs sregs;
  struct kvm_regs regs = { .rip = CODE_ADDRESS, .rflags = 2 };
  if (ioctl (vcpu, KVM_GET_SREGS, &sregs) < 0)
    return FALSE;
  sregs.cs.base = 0;
  sregs.cs.selector = 0;
  return ioctl (vcpu, KVM_SET_SREGS, &sregs) == 0 && ioctl (vcpu, KVM_SET_REGS, &regs) == 0;
}

static void
wake (int signal_number)
{
}

/* Runs until the guest halts or the time is up; a timer's signal makes KVM_RUN return. */
static gboolean
run_timed (const Probe *probe, gint64 *out_us)
{
  struct sigaction action = { .sa_handler = wake };
  struct sigaction before;
  struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGURG };
  struct itimerspec limit = { .it_value.tv_nsec = GIVE_UP_US * 1000L,
                              .it_interval.tv_nsec = GIVE_UP_US * 1000L };
  timer_t timer;

  sigset_t urgent;
  sigset_t mask;
  event._sigev_un._tid = gettid ();
  if (timer_create (CLOCK_MONOTONIC, &event, &timer) < 0)
    return FALSE;
  sigemptyset (&urgent);
  sigaddset (&urgent, SIGURG);
  pthread_sigmask (SIG_UNBLOCK, &urgent, &mask);
  sigaction (SIGURG, &action, &before);
  timer_settime (timer, 0, &limit, NULL);
  gint64 began = g_get_monotonic_time ();
  int rc = ioctl (probe->vcpu, KVM_RUN, 0);
  *out_us = g_get_monotonic_time () - began;
  timer_delete (timer);
  sigaction (SIGURG, &before, NULL);
  pthread_sigmask (SIG_SETMASK, &mask, NULL);
  return (rc == 0 && probe->run->exit_reason == KVM_EXIT_HLT) || (rc < 0 && errno == EINTR);
}

/* A VM of one page and one vCPU. The page belongs to the caller. */
static gboolean
measure (int kvm, void *page, gint64 *out_us)
{
  vm_autofd int vm = ioctl (kvm, KVM_CREATE_VM, 0);
  struct kvm_userspace_memory_region memory = { .guest_phys_addr = CODE_ADDRESS,
                                                .memory_size = 4096,
                                                .userspace_addr = (guintptr) page };
  if (vm < 0 || ioctl (vm, KVM_SET_USER_MEMORY_REGION, &memory) < 0)
    return FALSE;
  vm_autofd int vcpu = ioctl (vm, KVM_CREATE_VCPU, 0);
  int size = ioctl (kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
  if (vcpu < 0 || size < 0 || !set_up_registers (vcpu))
    return FALSE;
  Probe probe = { vcpu, mmap (NULL, (gsize) size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0) };
  if (probe.run == MAP_FAILED)
    return FALSE;
  gboolean ran = run_timed (&probe, out_us);
  munmap (probe.run, (gsize) size);
  return ran;
}

gboolean
vm_kvm_is_usable (char **out_reason)
{
  vm_autofd int kvm = open ("/dev/kvm", O_RDWR | O_CLOEXEC);
  gint64 us = 0;
  if (kvm < 0) {
    *out_reason = errno == EACCES
                      ? g_strdup ("/dev/kvm may not be opened: join the group `kvm`")
                      : g_strdup_printf ("/dev/kvm cannot be opened: %s", g_strerror (errno));
    return FALSE;
  }
  void *page = mmap (NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) {
    *out_reason = g_strdup ("no memory for a probe");
    return FALSE;
  }
  memcpy (page, loop_code, sizeof loop_code);
  gboolean ran = measure (kvm, page, &us);
  munmap (page, 4096);
  if (!ran) {
    *out_reason = g_strdup ("/dev/kvm opens but does not run a guest");
    return FALSE;
  }
  if (us < SLOW_US)
    return TRUE;
  *out_reason = g_strdup_printf ("/dev/kvm opens but emulates its guests (%" G_GINT64_FORMAT
                                 " ms for what takes hardware less than 1)",
                                 us / 1000);
  return FALSE;
}
