"""``python -m avatarkit_rtc`` is ``avatarkit-rtc``."""

from avatarkit_rtc.cli import main

if __name__ == "__main__":
    main()
