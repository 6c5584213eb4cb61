"""Tables of who may call: people, organizations, their memberships and API keys.

An organization is the tenant: it owns the wallet and the keys. A user is a person who logs in with
an e-mail address and reaches organizations through memberships. A key is stored as a keyed hash;
its secret exists in the answer that made it and nowhere else. How secrets look and are hashed is
`accounts.keys`.
"""

import zoneinfo
from typing import TYPE_CHECKING

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import CheckConstraint, F, Q, UniqueConstraint
from django.db.models.functions import Length, Lower, Now
from django.db.models.lookups import Exact

from ccapi.core import peer
from ccapi.core.ids import public_id

ONLY_THE_ORGANIZATIONS = "Empty or 0: only the organization's limit applies."


def organization_public_id() -> str:
    return public_id("org")


def key_public_id() -> str:
    return public_id("key")


def validate_timezone(name: str) -> None:
    if name not in zoneinfo.available_timezones():
        raise ValidationError(f"{name!r} is no time zone; use a name such as Europe/Berlin.")


def validate_network(text: str) -> None:
    try:
        peer.network(text)
    except ValueError as error:
        raise ValidationError(f"{text!r} is no address and no network: {error}.") from error


if TYPE_CHECKING:
    EmailField = models.EmailField[str, str]
else:  # the real class takes no type parameters
    EmailField = models.EmailField


class LowercaseEmailField(EmailField):
    """An address in lower case, stored so and looked up so: one person is one row."""

    def to_python(self, value: object) -> object:
        return _lower(super().to_python(value))

    def get_prep_value(self, value: object) -> object:
        return _lower(super().get_prep_value(value))

    def pre_save(self, model_instance: models.Model, add: bool) -> object:
        value = _lower(super().pre_save(model_instance, add))
        setattr(model_instance, self.attname, value)
        return value


def _lower(value: object) -> object:
    return value.strip().lower() if isinstance(value, str) else value


class UserManager(BaseUserManager["User"]):
    def create_user(
        self,
        email: str,
        password: str | None = None,
        *,
        name: str = "",
        is_staff: bool = False,
        is_superuser: bool = False,
    ) -> "User":
        """Make a person; without a password they cannot log in until one is set.

        Raises: ValidationError if the address is none, or taken.
        """
        user = self.model(email=email, name=name, is_staff=is_staff, is_superuser=is_superuser)
        user.set_password(password)
        user.full_clean()
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None) -> "User":
        return self.create_user(email, password, is_staff=True, is_superuser=True)


class User(AbstractBaseUser, PermissionsMixin):
    email = LowercaseEmailField("e-mail", unique=True)
    name = models.CharField(max_length=200, blank=True, default="")
    is_active = models.BooleanField(
        default=True, help_text="Whether this person may log in. Clear this instead of deleting."
    )
    is_staff = models.BooleanField(default=False, help_text="Whether this person sees the admin.")
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    objects = UserManager()

    EMAIL_FIELD = "email"
    USERNAME_FIELD = "email"

    class Meta:
        db_table = "account_user"
        ordering = ["email"]
        constraints = [
            CheckConstraint(name="user_email_lower", condition=Exact(F("email"), Lower("email")))
        ]

    def __str__(self) -> str:
        return self.email


class Organization(models.Model):
    class Status(models.TextChoices):
        ACTIVE = "active"
        SUSPENDED = "suspended"
        CLOSED = "closed"

    public_id = models.CharField(
        max_length=64, unique=True, default=organization_public_id, editable=False
    )
    name = models.CharField(max_length=200)
    status = models.CharField(
        max_length=16, choices=Status.choices, default=Status.ACTIVE, db_default=Status.ACTIVE
    )
    timezone = models.CharField(
        max_length=64, default="UTC", db_default="UTC", validators=[validate_timezone]
    )
    # Over all keys together; 0: no limit.
    rpm = models.PositiveIntegerField(
        "requests a minute", default=0, db_default=0, help_text="0: no limit."
    )
    tpm = models.PositiveIntegerField(
        "tokens a minute", default=0, db_default=0, help_text="0: no limit."
    )
    concurrent = models.PositiveIntegerField(
        "requests at once", default=0, db_default=0, help_text="0: no limit."
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    users = models.ManyToManyField(
        "accounts.User", through="accounts.Membership", related_name="organizations"
    )

    class Meta:
        db_table = "organization"
        ordering = ["name", "id"]
        constraints = [
            CheckConstraint(
                name="organization_public_id_form",
                condition=Q(public_id__regex=r"^org_[0-9A-Za-z_]+$"),
            ),
            CheckConstraint(name="organization_name_present", condition=~Q(name="")),
            CheckConstraint(
                name="organization_status_known",
                condition=Q(status__in=["active", "suspended", "closed"]),
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Membership(models.Model):
    class Role(models.TextChoices):
        OWNER = "owner"
        ADMIN = "admin"
        MEMBER = "member"

    organization = models.ForeignKey(
        "accounts.Organization", on_delete=models.CASCADE, related_name="memberships"
    )
    user = models.ForeignKey("accounts.User", on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=16, choices=Role.choices, default=Role.MEMBER)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        db_table = "membership"
        constraints = [
            UniqueConstraint(name="membership_once", fields=["organization", "user"]),
            CheckConstraint(
                name="membership_role_known", condition=Q(role__in=["owner", "admin", "member"])
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user} in {self.organization}, {self.role}"


class ApiKey(models.Model):
    """A key of one organization. `mac` is HMAC-SHA256 of the secret under the pepper.

    A rotated key keeps its id, its limits and its use; `old_mac` is of the secret before, which is
    good until `old_mac_until`.
    """

    public_id = models.CharField(max_length=64, unique=True, default=key_public_id, editable=False)
    # A key outlives nothing: an organization with keys is closed, not deleted.
    organization = models.ForeignKey(
        "accounts.Organization", on_delete=models.PROTECT, related_name="keys"
    )
    name = models.CharField(max_length=200)
    prefix = models.CharField(max_length=8, editable=False)
    last4 = models.CharField(max_length=4, editable=False)
    mac = models.BinaryField(unique=True, editable=False)
    old_mac = models.BinaryField(unique=True, null=True, editable=False)
    old_mac_until = models.DateTimeField("old secret until", null=True, editable=False)
    allowed_models = ArrayField(
        models.TextField(),
        default=list,
        blank=True,
        help_text="Catalog ids, separated by commas; empty means every model.",
    )
    allowed_ips = ArrayField(
        models.TextField(validators=[validate_network]),
        default=list,
        db_default=[],
        blank=True,
        help_text="Addresses and networks (203.0.113.0/24) that it may be used from, separated by"
        " commas; empty means everywhere.",
    )
    # Beside those of the organization.
    rpm = models.PositiveIntegerField(
        "requests a minute", null=True, blank=True, help_text=ONLY_THE_ORGANIZATIONS
    )
    tpm = models.PositiveIntegerField(
        "tokens a minute", null=True, blank=True, help_text=ONLY_THE_ORGANIZATIONS
    )
    concurrent = models.PositiveIntegerField(
        "requests at once", null=True, blank=True, help_text=ONLY_THE_ORGANIZATIONS
    )
    # Whoever holds a key could otherwise make more of them: a leak of one would be a leak for ever.
    manages_keys = models.BooleanField(
        default=False,
        db_default=False,
        help_text="Whether this key may make and change keys within its own bounds.",
    )
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)
    created_by = models.ForeignKey(
        "accounts.User",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        editable=False,
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        db_table = "api_key"
        verbose_name = "API key"
        ordering = ["-id"]
        constraints = [
            CheckConstraint(name="api_key_mac_length", condition=Exact(Length("mac"), 32)),
            CheckConstraint(
                name="api_key_old_mac_ends",
                condition=Q(old_mac=None, old_mac_until=None)
                | Q(Exact(Length("old_mac"), 32), old_mac_until__isnull=False),
            ),
            CheckConstraint(name="api_key_prefix_length", condition=Exact(Length("prefix"), 8)),
            CheckConstraint(name="api_key_last4_length", condition=Exact(Length("last4"), 4)),
            CheckConstraint(
                name="api_key_public_id_form", condition=Q(public_id__regex=r"^key_[0-9A-Za-z_]+$")
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} (sk-cc-{self.prefix}…{self.last4})"


class KeyRevision(models.Model):
    """One row that a trigger counts up when a key or an organization changes what it may do.

    Each process polls it, so that a revocation acts everywhere even without Valkey.
    """

    id = models.SmallIntegerField(primary_key=True, default=1)
    revision = models.BigIntegerField(default=0)

    class Meta:
        db_table = "key_revision"
        constraints = [CheckConstraint(name="key_revision_one_row", condition=Q(id=1))]

    def __str__(self) -> str:
        return f"revision {self.revision}"
